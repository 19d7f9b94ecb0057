/**
 * Random networks from a seed: people with names, storage and keys who write, like, follow, change their minds and
 * compact. It makes operations block by block and holds on to a bounded part of the past, so a world may be any size.
 */
import { createHash } from 'node:crypto';
import * as bodies from './bodies';
import type { Ledger } from './ledger';
import { farcasterEpoch, signerOf, signMessage, type SignedMessage, type Signer } from './messages';
import { randomOf } from './random';
import { readOnChain, readProof } from './records';
import type { Operation } from './shard';

export interface WorldOptions {
  readonly seed: number;
  readonly fids: number;
  readonly firstFid?: number;
  /** Storage units that everybody rents. */
  readonly units?: number;
  /** Hashes are real, signatures are not: for sizes where nobody checks them. */
  readonly unsigned?: boolean;
  /** Of a thousand messages, how many are gasless keys, whose pages no node can read. */
  readonly keysPerMille?: number;
}

interface Past {
  readonly fid: number;
  readonly hash: Buffer;
}

const pastMax = 20_000; // casts that may still be liked or removed: a feed looks back no further
const linksMax = 64; // per fid, those that may be taken back or compacted

const words = [
  'block',
  'naïve',
  'shard',
  '日本語',
  '"quoted"',
  'back\\slash',
  'café',
  'frames',
  '#586',
  'sync',
  '\u{1f680}',
  'gm',
];

export class World {
  readonly fids: readonly number[];
  readonly #options: WorldOptions;
  readonly #random: () => number;
  readonly #signers = new Map<number, Signer>();
  readonly #casts: Past[] = [];
  readonly #keys: { readonly fid: number; readonly key: Buffer }[] = [];
  readonly #liked: { by: number; cast: Past }[] = [];
  readonly #links = new Map<number, number[]>();
  #made = 0;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.#random = randomOf(options.seed);
    this.fids = Array.from({ length: options.fids }, (_, at) => (options.firstFid ?? 1001) + at);
  }

  signer(fid: number): Signer {
    let signer = this.#signers.get(fid);
    if (!signer) this.#signers.set(fid, (signer = signerOf(this.#options.seed, fid)));
    return signer;
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  #one<T>(list: readonly T[]): T {
    return list[this.#below(list.length)] as T;
  }

  #bytes(purpose: string, length: number): Buffer {
    const text = `${this.#options.seed} ${purpose}`;
    return Buffer.concat([0, 1, 2].map((part) => createHash('sha256').update(`${part} ${text}`).digest())).subarray(
      0,
      length,
    );
  }

  /** What must be there before anybody can write: registration, key, storage, a name. */
  register(fid: number, timestamp: number): Operation[] {
    const owner = this.#bytes(`owner ${fid}`, 20);
    const onChain = (body: bodies.OnChainBody, logIndex: number): Operation => ({
      kind: 'onChain',
      record: readOnChain(
        bodies.onChainBytes({
          fid,
          blockNumber: 120_000_000 + fid,
          blockTimestamp: timestamp + farcasterEpoch,
          transactionHash: this.#bytes(`transaction ${fid} ${logIndex}`, 32),
          logIndex,
          body,
        }),
      ),
    });
    return [
      onChain({ kind: 'idRegister', to: owner, recovery: owner }, 1),
      onChain({ kind: 'signer', key: this.signer(fid).publicKey, change: 'add' }, 2),
      onChain(
        { kind: 'storageRent', payer: owner, units: this.#options.units ?? 10, expiry: timestamp + farcasterEpoch * 2 },
        3,
      ),
      ...(fid % 5 === 0 ? [onChain({ kind: 'tierPurchase', payer: owner, days: 365 }, 4)] : []),
      this.fname(`user${fid}`, fid, timestamp + farcasterEpoch),
    ];
  }

  /** A name goes to a fid; to fid 0 when it is released. `unixSeconds` decides between two. */
  fname(name: string, fid: number, unixSeconds: number, fromFid = 0): Operation {
    const proof = bodies.nameProofBytes({
      timestamp: unixSeconds,
      name,
      owner: this.#bytes(`owner ${fid}`, 20),
      signature: this.#bytes(`fname ${name} ${fid}`, 65),
      fid,
      nameType: 1,
    });
    return { kind: 'fname', id: fid, fromFid, proof: readProof(proof) };
  }

  sign(fid: number, body: bodies.Body, timestamp: number): SignedMessage {
    return signMessage(body, { fid, timestamp, signer: this.signer(fid), unsigned: this.#options.unsigned ?? false });
  }

  /** Registers everybody, so many a block. */
  *genesis(ledger: Ledger, perBlock = 1000): Generator<Operation[]> {
    for (let at = 0; at < this.fids.length; at += perBlock) {
      const timestamp = ledger.timestampAt((ledger.shards[0]?.height ?? 0) + 1);
      yield this.fids.slice(at, at + perBlock).flatMap((fid) => this.register(fid, timestamp));
    }
  }

  /** So many messages, at about this time: a few seconds apart, sometimes in the same one. */
  messages(count: number, timestamp: number): Operation[] {
    return Array.from(
      { length: count },
      () => ({ kind: 'message', message: this.#next(timestamp - this.#below(8)) }) as const,
    );
  }

  /** Two keys of three stay. */
  #keyMessage(fid: number, timestamp: number): SignedMessage {
    const old = this.#below(3) === 0 ? this.#keys.shift() : undefined;
    if (old !== undefined) return this.sign(old.fid, bodies.keyRemove(old.key, this.#made), timestamp);
    const key = this.#bytes(`key ${this.#made}`, 32);
    this.#keys.push({ fid, key });
    return this.sign(fid, bodies.keyAdd(key, this.#made, [1, 3, 5], 86_400), timestamp);
  }

  #next(timestamp: number): SignedMessage {
    this.#made += 1;
    const fid = this.#one(this.fids);
    if (this.#below(1000) < (this.#options.keysPerMille ?? 0)) return this.#keyMessage(fid, timestamp);
    const message = this.sign(fid, this.#body(fid, timestamp), timestamp);
    if (message.type === 1) {
      const past = { fid, hash: Buffer.from(message.hash, 'latin1') };
      if (this.#casts.length < pastMax) this.#casts.push(past);
      else this.#casts[this.#below(pastMax)] = past;
    }
    return message;
  }

  #body(fid: number, timestamp: number): bodies.Body {
    const kind = this.#below(1000);
    const past = this.#casts.length > 0 ? this.#one(this.#casts) : undefined;
    if (kind < 380 || !past) return this.#cast(past);
    if (kind < 420) return bodies.castRemove(past.fid === fid ? past.hash : this.#ownCast(fid, past).hash);
    if (kind < 660) return this.#like(fid, past);
    if (kind < 700) return this.#unlike(fid, past);
    if (kind < 930) return this.#link(fid, kind);
    if (kind < 970)
      return bodies.userData(this.#one([1, 2, 3, 5, 6, 7, 8, 9, 10]), `${this.#one(words)} ${this.#below(1e6)}`);
    if (kind < 985) return this.#verification(fid);
    if (kind < 992) return this.#proof(fid, timestamp);
    if (kind < 997) return bodies.lendStorage(this.#one(this.fids), this.#below(3));
    return bodies.linkCompactState(
      'follow',
      (this.#links.get(fid) ?? []).filter(() => this.#random() < 0.7),
    );
  }

  #ownCast(fid: number, fallback: Past): Past {
    for (let tries = 0; tries < 20; tries += 1) {
      const past = this.#one(this.#casts);
      if (past.fid === fid) return past;
    }
    return fallback; // removing what is not one's own is legal: the remove stands alone
  }

  #cast(past: Past | undefined): bodies.Body {
    const text = Array.from({ length: 3 + this.#below(12) }, () => this.#one(words)).join(' ');
    const shape = this.#below(10);
    return bodies.castAdd({
      text: `${text} ${this.#made}`,
      ...(shape < 3 && past
        ? { parent: past }
        : shape === 3
          ? { parent: `https://example.com/c/${this.#below(100)}` }
          : {}),
      ...(shape === 4 ? { mentions: [this.#one(this.fids)], mentionsPositions: [0] } : {}),
      ...(shape === 5 ? { embeds: [`https://example.com/${this.#below(1e6)}`, ...(past ? [past] : [])] } : {}),
    });
  }

  #like(fid: number, cast: Past): bodies.Body {
    const entry = { by: fid, cast };
    if (this.#liked.length < pastMax) this.#liked.push(entry);
    else this.#liked[this.#below(pastMax)] = entry;
    if (this.#below(20) === 0) return bodies.reactionAdd(1, `https://example.com/c/${this.#below(50)}`);
    return bodies.reactionAdd(1 + this.#below(2), cast);
  }

  #unlike(fid: number, cast: Past): bodies.Body {
    const own = this.#liked.find((entry) => entry.by === fid)?.cast ?? cast;
    return bodies.reactionRemove(1 + this.#below(2), own);
  }

  #link(fid: number, kind: number): bodies.Body {
    const links = this.#links.get(fid) ?? [];
    this.#links.set(fid, links);
    if (kind >= 890 && links.length > 0) return bodies.linkRemove('follow', this.#one(links));
    const target = this.#below(4) === 0 ? this.#one(this.fids) : 1 + this.#below(900_000);
    if (links.length < linksMax) links.push(target);
    else links[this.#below(linksMax)] = target;
    return bodies.linkAdd(
      this.#below(12) === 0 ? 'block' : 'follow',
      target,
      this.#below(10) === 0 ? 1 + this.#below(1e6) : undefined,
    );
  }

  #verification(fid: number): bodies.Body {
    const address = this.#bytes(`address ${fid} ${this.#below(4)}`, 20);
    if (this.#below(4) === 0) return bodies.verificationRemove(address);
    return bodies.verificationAdd({
      address,
      claimSignature: this.#bytes(`claim ${this.#made}`, 65),
      blockHash: this.#bytes(`block ${this.#made}`, 32),
    });
  }

  #proof(fid: number, timestamp: number): bodies.Body {
    return bodies.usernameProof({
      timestamp: timestamp + farcasterEpoch,
      name: `user${this.#below(3) === 0 ? this.#one(this.fids) : fid}.eth`,
      owner: this.#bytes(`owner ${fid}`, 20),
      signature: this.#bytes(`ens ${fid}`, 65),
      fid,
      nameType: 2,
    });
  }
}

export interface FillOptions {
  readonly messages: number;
  readonly messagesPerBlock?: number;
}

/** Registers everybody and writes so many messages, block by block. */
export function fill(ledger: Ledger, world: World, options: FillOptions): void {
  const { messages, messagesPerBlock = 2000 } = options;
  for (const block of world.genesis(ledger)) ledger.applyBlock(block);
  for (let left = messages; left > 0; left -= messagesPerBlock) {
    const timestamp = ledger.timestampAt((ledger.shards[0]?.height ?? 0) + 1);
    ledger.applyBlock(world.messages(Math.min(left, messagesPerBlock), timestamp));
  }
}

/** Makes blocks at a rate until stopped; `seconds` bounds it. The promise ends when no more will come. */
export function live(
  ledger: Ledger,
  world: World,
  options: { readonly blocksPerSecond: number; readonly messagesPerBlock: number; readonly seconds?: number },
): { readonly done: Promise<number>; stop(): void } {
  let blocks = 0;
  let finish: (made: number) => void = () => undefined;
  const done = new Promise<number>((resolve) => (finish = resolve));
  const blocksMax = options.seconds === undefined ? Infinity : options.seconds * options.blocksPerSecond;
  const timer = setInterval(() => {
    const timestamp = ledger.timestampAt((ledger.shards[0]?.height ?? 0) + 1);
    ledger.applyBlock(world.messages(options.messagesPerBlock, timestamp));
    blocks += 1;
    if (blocks >= blocksMax) stop();
  }, 1000 / options.blocksPerSecond);
  const stop = (): void => {
    clearInterval(timer);
    finish(blocks);
  };
  return { done, stop };
}
