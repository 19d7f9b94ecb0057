/** Each rule of the stores, one block after the other: who wins, what goes with it, and what is told. */
import * as bodies from '../peers/snapchain/bodies';
import type { LedgerEvent } from '../peers/snapchain/events';
import { Ledger, limits2025, type LedgerOptions } from '../peers/snapchain/ledger';
import { signerOf, signMessage, type SignedMessage } from '../peers/snapchain/messages';
import type { Operation } from '../peers/snapchain/shard';
import { readOnChain } from '../peers/snapchain/records';
import { homeShardOf, loadHashing } from '../peers/snapchain/trie';
import { rowsOf, type TruthTable } from '../peers/snapchain/truth';
import { World } from '../peers/snapchain/world';

beforeAll(loadHashing);

const me = 1001;
const signer = signerOf(1, me);
const message = (body: bodies.Body, timestamp: number, fid = me): SignedMessage =>
  signMessage(body, { fid, timestamp, signer: fid === me ? signer : signerOf(1, fid) });
const said = (...messages: SignedMessage[]): Operation[] =>
  messages.map((each) => ({ kind: 'message', message: each }));
const hash = (of: SignedMessage): Buffer => Buffer.from(of.hash, 'latin1');
const chain = (options: LedgerOptions = {}): Ledger => new Ledger({ shards: 1, ...options });

/** The events of the last block, its confirmation left out: [type, hash, deleted hashes]. */
function told(ledger: Ledger): [number, string | undefined, string[]][] {
  const shard = ledger.shard(1);
  const events: LedgerEvent[] = shard?.log.read(shard.height * 16_384 + 1, undefined, 1e6) ?? [];
  return events.map(({ type, message: about, deleted }) => [
    type,
    about?.hash,
    (deleted ?? []).map((each) => each.hash),
  ]);
}

const live = (ledger: Ledger, table: TruthTable): string[] => rowsOf(ledger, table).map((row) => row.hash);
const hex = (...of: SignedMessage[]): string[] => of.map((each) => hash(each).toString('hex'));

const likeA: bodies.CastId = { fid: 1, hash: Buffer.alloc(20, 1) };
const likeB: bodies.CastId = { fid: 2, hash: Buffer.alloc(20, 2) };

describe('time decides between', () => {
  const address = Buffer.alloc(20, 7);
  const verified = (n: number): bodies.Body =>
    bodies.verificationAdd({ address, claimSignature: Buffer.alloc(65, n), blockHash: Buffer.alloc(32, n) });
  it.each<[TruthTable, bodies.Body, bodies.Body]>([
    ['reactions', bodies.reactionAdd(1, likeA), bodies.reactionRemove(1, likeA)],
    ['links', bodies.linkAdd('follow', 5), bodies.linkRemove('follow', 5)],
    ['verifications', verified(1), bodies.verificationRemove(address)],
  ])('%s: later wins, at a tie the remove, whatever comes first', (table, add, remove) => {
    for (const [first, second, winner] of [
      [message(add, 10), message(remove, 9), 0],
      [message(remove, 10), message(add, 11), 1],
      [message(add, 10), message(remove, 10), 1],
      [message(remove, 10), message(add, 10), 0],
    ] as const) {
      const ledger = chain();
      ledger.applyBlock(said(first));
      ledger.applyBlock(said(second));
      expect(live(ledger, table)).toEqual(hex(winner === 0 ? first : second));
      expect(told(ledger)).toEqual(winner === 1 ? [[1, second.hash, [first.hash]]] : []);
    }
  });

  it.each<[TruthTable, (n: number) => bodies.Body]>([
    ['userData', (n) => bodies.userData(3, `bio ${n}`)],
    ['verifications', verified],
    ['linkCompactStates', (n) => bodies.linkCompactState('follow', [n])],
  ])('%s of the same second: by hash, but compact states stay', (table, body) => {
    const pair = [message(body(1), 10), message(body(2), 10)].sort((a, b) => (a.hash < b.hash ? -1 : 1));
    for (const order of [pair, [...pair].reverse()]) {
      const ledger = chain();
      for (const each of order) ledger.applyBlock(said(each));
      const winner = table === 'linkCompactStates' ? order[0] : pair[1];
      expect(live(ledger, table)).toEqual(hex(winner as SignedMessage));
    }
  });

  it("verifications: from version 21 the chain's order, against the clocks", () => {
    const ledger = chain({ engine: 21 });
    ledger.applyBlock(said(message(verified(1), 10)));
    const removal = message(bodies.verificationRemove(address), 5);
    ledger.applyBlock(said(removal));
    expect(live(ledger, 'verifications')).toEqual(hex(removal));
  });
});

it('a removed cast stays removed, however late it was written or arrives', () => {
  const cast = message(bodies.castAdd({ text: 'gm' }), 100);
  const removal = message(bodies.castRemove(hash(cast)), 1);
  for (const [first, second] of [
    [cast, removal],
    [removal, cast],
  ] as const) {
    const ledger = chain();
    ledger.applyBlock(said(first));
    ledger.applyBlock(said(second));
    expect(rowsOf(ledger, 'casts')).toMatchObject([{ key: hash(cast).toString('hex'), state: 2 }]);
  }
});

describe('a compact state', () => {
  let compact: SignedMessage, removed: SignedMessage, blocked: SignedMessage, after: SignedMessage;
  let old: [SignedMessage, SignedMessage];
  beforeAll(() => {
    compact = message(bodies.linkCompactState('follow', [1, 2]), 10);
    old = [message(bodies.linkAdd('follow', 1), 9), message(bodies.linkAdd('follow', 3), 9)];
    removed = message(bodies.linkRemove('follow', 1), 10);
    blocked = message(bodies.linkAdd('block', 3), 1);
    after = message(bodies.linkAdd('follow', 4), 11);
  });

  it('sweeps older links it does not name and all older removes, of its own type only', () => {
    const ledger = chain();
    ledger.applyBlock(said(...old, blocked, after, message(bodies.linkRemove('follow', 2), 10)));
    ledger.applyBlock(said(compact));
    expect(live(ledger, 'links').sort()).toEqual(hex(old[0], blocked, after).sort());
  });

  it('does not see links of its own block, before it or after it', () => {
    const ledger = chain();
    ledger.applyBlock(said(old[1], compact, removed));
    expect(live(ledger, 'links').sort()).toEqual(hex(old[1], removed).sort());
    expect(told(ledger).map(([type]) => type)).toEqual([1, 1, 1]);
  });

  it('refuses later what it would have swept: strictly older, and not named', () => {
    const ledger = chain();
    ledger.applyBlock(said(compact));
    const unnamedAtItsTime = message(bodies.linkAdd('follow', 5), 10);
    ledger.applyBlock(said(...old, message(bodies.linkRemove('follow', 2), 9), unnamedAtItsTime));
    expect(live(ledger, 'links').sort()).toEqual(hex(old[0], unnamedAtItsTime).sort());
  });

  it('goes over the wire without what it deleted', () => {
    const ledger = chain();
    ledger.applyBlock(said(...old));
    ledger.applyBlock(said(compact));
    const [event] = ledger.shard(1)?.log.read(2 * 16_384 + 1, undefined, 1) ?? [];
    expect(event?.deleted).toHaveLength(1);
    expect(ledger.encode(1, event as LedgerEvent).indexOf(hash(old[1]))).toBe(-1);
  });
});

it('a full store forgets its oldest, but nothing of the present block', () => {
  const ledger = chain({ limitPerUnit: limits2025 });
  const world = new World({ seed: 1, fids: 1, units: 1 });
  ledger.applyBlock(world.register(me, 1));
  const casts = Array.from({ length: 130 }, (_, n) => message(bodies.castAdd({ text: String(n) }), 1000 + n));
  ledger.applyBlock(said(...casts));
  expect(live(ledger, 'casts')).toHaveLength(130);
  const late = message(bodies.castAdd({ text: 'late' }), 1);
  ledger.applyBlock(said(late));
  expect(told(ledger)).toEqual([[1, late.hash, []], ...casts.slice(0, 31).map((cast) => [2, cast.hash, []])]);
  expect(live(ledger, 'casts')).toHaveLength(100);
});

describe('revoked', () => {
  const removeSigner = (): Operation => ({
    kind: 'onChain',
    record: readOnChain(
      bodies.onChainBytes({
        fid: me,
        blockNumber: 1,
        blockTimestamp: 1,
        transactionHash: Buffer.alloc(32, 9),
        logIndex: 0,
        body: { kind: 'signer', key: signer.publicKey, change: 'remove' },
      }),
    ),
  });

  it.each([
    [13, 2],
    [20, 0],
  ])('under version %i a removed key takes %i messages along', (engine, revoked) => {
    const ledger = chain({ engine });
    ledger.applyBlock(said(message(bodies.castAdd({ text: 'x' }), 1), message(bodies.linkAdd('follow', 2), 1)));
    ledger.applyBlock([removeSigner()]);
    expect(told(ledger).filter(([type]) => type === 3)).toHaveLength(revoked);
    expect(live(ledger, 'casts').length + live(ledger, 'links').length).toBe(2 - revoked);
  });

  it('is a primary address that is verified no more', () => {
    const ledger = chain();
    const address = Buffer.alloc(20, 0xab);
    const primary = message(bodies.userData(11, `0x${address.toString('hex')}`), 2);
    ledger.applyBlock(said(primary, message(bodies.userData(3, 'bio'), 2)));
    ledger.applyBlock(said(message(bodies.verificationRemove(address), 3)));
    expect(told(ledger).map(([type]) => type)).toEqual([1, 3]);
    expect(rowsOf(ledger, 'userData').map((row) => row.key)).toEqual(['3']);
  });

  it('is a proof of a name by a merge that only deletes', () => {
    const ledger = chain();
    const world = new World({ seed: 1, fids: 1 });
    const proof = message(
      bodies.usernameProof({
        timestamp: 1,
        name: 'a.eth',
        owner: Buffer.alloc(20),
        signature: Buffer.alloc(65),
        fid: me,
        nameType: 2,
      }),
      1,
    );
    ledger.applyBlock([...world.register(me, 1), ...said(proof)]);
    ledger.applyBlock([{ kind: 'revoke', fid: me, hash: proof.hash }]);
    const [event] = ledger.shard(1)?.log.read(2 * 16_384 + 1, undefined, 5) ?? [];
    expect(event).toMatchObject({ type: 6, deletedMessage: { hash: proof.hash } });
    expect(event?.message ?? event?.proof).toBeUndefined();
    expect(live(ledger, 'usernameProofs')).toEqual([]);
  });
});

describe('a name', () => {
  it("goes to whoever proves it later, in every shard at once; released it is nobody's", () => {
    const ledger = new Ledger({ shards: 2, revokesUsernameOnTransfer: true });
    const world = new World({ seed: 1, fids: 4 });
    const other = world.fids.find((fid) => homeShardOf(fid, 2) !== homeShardOf(me, 2)) as number;
    ledger.applyBlock([world.fname('alice', me, 10), ...said(message(bodies.userData(6, 'alice'), 1))]);
    ledger.applyBlock([world.fname('alice', other, 9)]);
    expect(rowsOf(ledger, 'fnames')).toMatchObject([{ fid: me, key: 'alice' }]);
    ledger.applyBlock([world.fname('alice', other, 11, me)]);
    expect(rowsOf(ledger, 'fnames')).toMatchObject([{ fid: other, key: 'alice', timestamp: 11 }]);
    expect(rowsOf(ledger, 'userData')).toEqual([]);
    for (const shard of ledger.shards) {
      const [event] = shard.log.read(3 * 16_384 + 1, undefined, 1);
      expect([event?.type, event?.proof !== undefined, event?.deletedProof !== undefined]).toEqual([6, true, true]);
      expect(
        shard
          .account(me)
          .freeze()
          .leaves.filter((leaf) => leaf.kind === 'fname'),
      ).toEqual([]);
    }
    ledger.applyBlock([world.fname('alice', 0, 12)]);
    expect(rowsOf(ledger, 'fnames')).toEqual([]);
  });

  it("proven by messages of two fids of a shard is the later one's", () => {
    const ledger = chain();
    const proof = (fid: number): SignedMessage =>
      message(
        bodies.usernameProof({
          timestamp: fid,
          name: 'b.eth',
          owner: Buffer.alloc(20),
          signature: Buffer.alloc(65),
          fid,
          nameType: 2,
        }),
        fid,
        fid,
      );
    ledger.applyBlock(said(proof(me)));
    ledger.applyBlock(said(proof(1002)));
    expect(rowsOf(ledger, 'usernameProofs').map((row) => row.fid)).toEqual([1002]);
    const [event] = ledger.shard(1)?.log.read(2 * 16_384 + 1, undefined, 1) ?? [];
    expect(event).toMatchObject({ type: 6, message: { fid: 1002 }, deletedMessage: { fid: me } });
  });
});

it('a loan of nothing ends the loan: merged, and pruned at once', () => {
  const ledger = chain();
  ledger.applyBlock(said(message(bodies.lendStorage(1002, 2), 1)));
  expect(ledger.shard(1)?.account(1002).units).toBe(2);
  const end = message(bodies.lendStorage(1002, 0), 2);
  ledger.applyBlock(said(end));
  expect(told(ledger).map(([type, about]) => [type, about])).toEqual([
    [1, end.hash],
    [2, end.hash],
  ]);
  expect(rowsOf(ledger, 'storageLends')).toEqual([]);
  expect(ledger.shard(1)?.account(1002).freeze().leaves).toEqual([]);
});

it('what the rules refuse is in the chunk all the same, and in no event unless told', () => {
  const like = message(bodies.reactionAdd(2, likeB), 5);
  for (const tellsFailures of [false, true]) {
    const ledger = chain({ tellsFailures });
    ledger.applyBlock(said(like));
    ledger.applyBlock(said(like));
    expect(told(ledger).map(([type]) => type)).toEqual(tellsFailures ? [10] : []);
    expect(ledger.chunk(1, 2).includes(hash(like))).toBe(true);
  }
});
