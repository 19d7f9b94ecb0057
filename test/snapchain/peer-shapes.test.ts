/** The emulated node in its other shapes: two of one chain, live, from a prepared file, from the recording, as a process. */
import { spawn } from 'node:child_process';
import { createPublicKey, verify } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { transformFileSync } from '@swc/core';
import { makeBulk } from '../peers/snapchain/bulk';
import { encode, Fields } from '../peers/snapchain/bytes';
import { Ledger } from '../peers/snapchain/ledger';
import { startSnapchainNode, type LedgerNode } from '../peers/snapchain/ledger-node';
import { replayRecording } from '../peers/snapchain/replay';
import { accountKey, accountRoot, blake3, homeShardOf, rootOver, virtualShardOf } from '../peers/snapchain/trie';
import { countsOf, type Counts } from '../peers/snapchain/truth';
import { fill, live, World } from '../peers/snapchain/world';
import { rawClient, type RawClient } from './raw-client';

const pages = 'ReplicationService/GetShardTransactions';
const lists = 'ReplicationService/GetShardSnapshotMetadata';
const fid = 1001;
const virtualShard = virtualShardOf(fid);
const shard = homeShardOf(fid, 2);

let node: LedgerNode;
let client: RawClient;

beforeEach(async () => {
  node = await startSnapchainNode();
  fill(node.ledger, new World({ seed: 3, fids: 3 }), { messages: 300 });
  node.shelf.take();
  client = rawClient(node.address);
});
afterEach(async () => {
  client.close();
  await node.stop();
});

const request = (height = 2): Buffer => encode((out) => out.uint(1, shard).uint(2, height).uint(3, virtualShard));
const ask = (deadlineMs?: number): Promise<Buffer> => client.call(pages, request(), deadlineMs);
const codeOf = (answer: Promise<unknown>): Promise<number> =>
  answer.then(
    () => 0,
    (error: { code: number }) => error.code,
  );

interface Entry {
  readonly key: string;
  readonly message: Fields | undefined;
}

function entriesOf(page: Buffer): Entry[] {
  return new Fields(page).every(1).map((each) => {
    const entry = new Fields(each);
    return { key: entry.bytes(1).toString('latin1'), message: entry.has(2) ? new Fields(entry.bytes(2)) : undefined };
  });
}

const isHashed = ({ message }: Entry): boolean => !message || blake3(message.bytes(7)).equals(message.bytes(2));
const spki = Buffer.from('302a300506032b6570032100', 'hex');
function isSigned({ message }: Entry): boolean {
  if (!message) return true;
  const key = createPublicKey({ key: Buffer.concat([spki, message.bytes(6)]), format: 'der', type: 'spki' });
  return verify(null, message.bytes(2), key, message.bytes(4));
}

it('two nodes of one chain have the same events, and snapshots of their own', async () => {
  const second = await startSnapchainNode({ ledger: node.ledger });
  const other = rawClient(second.address);
  const events = encode((out) => out.present(2, shard));
  expect(await other.call('HubService/GetEvents', events)).toEqual(await client.call('HubService/GetEvents', events));
  node.shelf.lose();
  expect(await codeOf(ask())).toBe(13);
  expect(await codeOf(other.call(pages, request()))).toBe(0);
  other.close();
  await second.stop();
});

it('a live chain makes blocks at its rate until it is told to stop', async () => {
  const stream = client.stream(
    'HubService/Subscribe',
    encode((out) => out.packed(1, [11]).present(4, 1)),
  );
  await client.call('HubService/GetInfo');
  const { done, stop } = live(node.ledger, new World({ seed: 9, fids: 3 }), {
    blocksPerSecond: 50,
    messagesPerBlock: 4,
    seconds: 0.2,
  });
  expect(await done).toBe(10);
  stop();
  expect(await stream.count(10)).toHaveLength(10);
  stream.close();
});

describe('a prepared snapshot', () => {
  it('is served from its file: every page, every root, and what is written after it', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'waybill-bulk-'));
    const second = await startSnapchainNode({ chain: { shards: 2 } });
    second.ledger.applyBlock([]);
    const file = join(dir, 'pages');
    const bulk = makeBulk(second.ledger, { seed: 4, messages: 5050, file, pageSize: 150, signed: true });
    for (const view of bulk.views) second.shelf.keepForGood(view);
    second.restart();
    const other = rawClient(second.address);
    let found = 0;
    for (const index of [1, 2]) {
      const list = new Fields(
        await other.call(
          lists,
          encode((out) => out.uint(1, index)),
        ),
      )
        .every(1)
        .map((each) => new Fields(each));
      const [entry] = list as [Fields];
      const roots = new Map<string, Buffer>();
      let keys = 0;
      for (let place = 0; place < 256; place += 1) {
        const own = new Map<string, string[]>();
        for (let token: string | undefined = ''; token !== undefined;) {
          const after: string = token;
          const page = await other.call(
            pages,
            encode((out) => out.uint(1, index).uint(2, 1).uint(3, place).bytes(4, after)),
          );
          for (const item of entriesOf(page)) {
            const account = item.key.slice(0, 5);
            own.set(account, [...(own.get(account) ?? []), item.key]);
            keys += 1;
            if (item.message) found += isHashed(item) && isSigned(item) ? 1 : 0;
          }
          const fields = new Fields(page);
          for (const root of fields.every(2).map((each) => new Fields(each)))
            roots.set(accountKey(root.uint(1)), root.bytes(2));
          token = fields.has(3) ? fields.text(3) : undefined;
        }
        for (const [account, list] of own) expect(accountRoot(list)).toEqual(roots.get(account));
      }
      expect(keys).toBe(entry.uint(7));
      expect(new Fields(new Fields(entry.bytes(5)).bytes(1)).bytes(4)).toEqual(
        rootOver([...roots.keys()].sort(), roots),
      );
    }
    expect(found).toBe(5050);
    other.close();
    await second.stop();
    bulk.close();
    expect(existsSync(file)).toBe(false);
    rmSync(dir, { recursive: true });
  });
});

describe('the recording as a node', () => {
  it('answers as recorded, at both times', async () => {
    const recorded = await replayRecording('test/data/snapchain/devnet-recording.ndjson.gz');
    const other = rawClient(recorded.address);
    const heights = async (): Promise<number[]> =>
      new Fields(
        await other.call(
          lists,
          encode((out) => out.uint(1, 1)),
        ),
      )
        .every(1)
        .map((each) => new Fields(each).uint(2))
        .sort((a, b) => a - b);
    expect((await heights()).at(-1)).toBe(160);
    for (const [name, bytes] of recorded.recording.pages) {
      const [index, height, place] = name.split(' ').map(Number) as [number, number, number];
      expect(
        (
          await other.call(
            pages,
            encode((out) => out.uint(1, index).uint(2, height).uint(3, place)),
          )
        ).equals(bytes),
      ).toBe(true);
    }
    recorded.when = 'earlier';
    expect((await heights()).at(-1)).toBe(80);
    const events = new Fields(
      await other.call(
        'HubService/GetEvents',
        encode((out) =>
          out
            .uint(1, 81 * 16_384)
            .present(2, 1)
            .uint(4, 7),
        ),
      ),
    );
    expect(events.every(1).map((each) => new Fields(each).uint(2))[0]).toBe(81 * 16_384);
    expect(events.every(1)).toHaveLength(7);
    other.close();
    await recorded.stop();
  });
});

it('the same seed is the same world, another seed another', () => {
  const world = (seed: number): Counts => {
    const ledger = new Ledger();
    fill(ledger, new World({ seed, fids: 3 }), { messages: 300 });
    return countsOf(ledger);
  };
  expect(world(3)).toEqual(world(3));
  expect(world(3).sha256).not.toBe(world(4).sha256);
  expect(world(3).messages).toBeGreaterThan(150);
});

it('runs as a process of its own: tells its address and what it holds, and ends at SIGTERM', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'waybill-peer-'));
  const sources = join(process.cwd(), 'test/peers/snapchain');
  for (const name of readdirSync(sources)) {
    const { code } = transformFileSync(join(sources, name), {
      module: { type: 'commonjs' },
      jsc: { target: 'es2022', parser: { syntax: 'typescript' } },
    });
    writeFileSync(join(dir, name.replace(/ts$/, 'js')), code);
  }
  const child = spawn(process.execPath, [join(dir, 'main.js'), JSON.stringify({ fids: 5, messages: 200 })], {
    env: { ...process.env, NODE_PATH: join(process.cwd(), 'node_modules') },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const line = await new Promise<string>((resolve) =>
    child.stdout.once('data', (bytes: Buffer) => resolve(bytes.toString())),
  );
  const facts = JSON.parse(line) as { address: string; heights: number[]; truth: { messages: number } };
  const other = rawClient(facts.address);
  const info = new Fields(await other.call('HubService/GetInfo'));
  expect(
    info
      .every(9)
      .slice(1)
      .map((each) => new Fields(each).uint(2)),
  ).toEqual(facts.heights);
  expect(facts.truth.messages).toBeGreaterThan(100);
  other.close();
  child.kill('SIGTERM');
  expect(await new Promise((resolve) => child.once('exit', resolve))).toBe(0);
  rmSync(dir, { recursive: true });
});
