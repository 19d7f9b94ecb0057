/** Every fault arrives at the client as what it is, at the call it was meant for, and at the same ones every time. */
import { createPublicKey, verify } from 'node:crypto';
import { encode, Fields } from '../peers/snapchain/bytes';
import { Faults, type Fault } from '../peers/snapchain/faults';
import { startSnapchainNode, type LedgerNode } from '../peers/snapchain/ledger-node';
import { blake3, homeShardOf, virtualShardOf } from '../peers/snapchain/trie';
import { fill, World } from '../peers/snapchain/world';
import { rawClient, type RawClient } from './raw-client';

const pages = 'ReplicationService/GetShardTransactions';
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
const inject = (fault: Fault, nth = 1): void => node.faults.set([{ method: 'GetShardTransactions', nth, fault }]);

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

it('without a fault every message is what its hash and its signature say', async () => {
  const entries = entriesOf(await ask());
  expect(entries.filter(({ message }) => message).length).toBeGreaterThan(50);
  expect(entries.every((entry) => isHashed(entry) && isSigned(entry))).toBe(true);
});

describe('the nth call', () => {
  it('gets a code instead, and only that one', async () => {
    inject({ kind: 'status', code: 14, details: 'going away' }, 2);
    expect([await codeOf(ask()), await codeOf(ask()), await codeOf(ask())]).toEqual([0, 14, 0]);
    expect(node.faults.done.get('status')).toBe(1);
  });

  it('gets no answer until its deadline', async () => {
    inject({ kind: 'silence' });
    expect(await codeOf(ask(150))).toBe(4);
    expect(await codeOf(ask())).toBe(0);
  });

  it('gets it late', async () => {
    inject({ kind: 'slow', delayMs: 120 });
    const asked = performance.now();
    await ask();
    expect(performance.now() - asked).toBeGreaterThanOrEqual(110);
  });

  it('is reset in the middle of its message', async () => {
    inject({ kind: 'reset' });
    expect(await codeOf(ask())).toBe(13);
    expect(await codeOf(ask())).toBe(0);
  });

  it('gets bytes that are no message', async () => {
    inject({ kind: 'garbage' });
    const answer = await ask();
    expect(() => new Fields(answer)).toThrow(/wire type|does not end/);
  });

  it('gets more than a client takes by default', async () => {
    const small = rawClient(node.address, 4 * 1024 * 1024);
    node.faults.set([{ fault: { kind: 'padding', bytes: 5 * 1024 * 1024 } }]);
    expect(await codeOf(small.call(pages, request()))).toBe(8);
    const answer = await ask();
    expect(answer.length).toBeGreaterThan(5 * 1024 * 1024);
    expect(entriesOf(answer).length).toBeGreaterThan(50);
    small.close();
  });

  it('finds the snapshots gone, until the next one', async () => {
    inject({ kind: 'loseSnapshots' });
    expect([await codeOf(ask()), await codeOf(ask())]).toEqual([13, 13]);
    node.ledger.applyBlock([]);
    expect(await codeOf(client.call(pages, request(3)))).toBe(0);
  });

  it('meets a restart: the connection breaks, and heights are new', async () => {
    node.ledger.applyBlock([]);
    inject({ kind: 'restart' });
    expect(await codeOf(ask())).toBe(14);
    expect(await codeOf(ask())).toBe(13);
    expect(await codeOf(client.call(pages, request(3)))).toBe(0);
  });
});

describe('a spoilt page', () => {
  const spoilt = async (kind: Fault['kind']): Promise<{ before: Buffer; after: Buffer }> => {
    const before = await ask();
    inject({ kind } as Fault);
    return { before, after: await ask() };
  };

  it.each(['corruptHash', 'corruptData'] as const)(
    'with %s has one message that its hash does not fit',
    async (kind) => {
      const { after } = await spoilt(kind);
      expect(entriesOf(after).filter((entry) => !isHashed(entry))).toHaveLength(1);
    },
  );

  it('with corruptSignature has one message that was not signed so', async () => {
    const { after } = await spoilt('corruptSignature');
    expect(entriesOf(after).every(isHashed)).toBe(true);
    expect(entriesOf(after).filter((entry) => !isSigned(entry))).toHaveLength(1);
  });

  it.each([
    ['dropEntry', -1],
    ['duplicateEntry', 1],
    ['foreignEntry', 0],
  ] as const)('with %s has %i entries more, and a root that does not come out', async (kind, more) => {
    const { before, after } = await spoilt(kind);
    expect(entriesOf(after).length - entriesOf(before).length).toBe(more);
    expect(entriesOf(after).map(({ key }) => key)).not.toEqual(entriesOf(before).map(({ key }) => key));
    expect(new Fields(after).every(2)).toEqual(new Fields(before).every(2));
    expect(entriesOf(after).filter(({ key }) => key.charCodeAt(0) !== virtualShard)).toHaveLength(
      kind === 'foreignEntry' ? 1 : 0,
    );
  });

  it.each([
    ['corruptRoot', 2],
    ['wrongCount', 3],
  ] as const)('with %s differs in field %i of one root and nowhere else', async (kind, field) => {
    const { before, after } = await spoilt(kind);
    const [was] = new Fields(before).every(2).map((each) => new Fields(each));
    const [is] = new Fields(after).every(2).map((each) => new Fields(each));
    expect(
      is?.all
        .filter(
          (each, at) =>
            !each.bytes.equals(was?.all[at]?.bytes ?? Buffer.alloc(0)) || each.value !== was?.all[at]?.value,
        )
        .map((each) => each.field),
    ).toEqual([field]);
    expect(new Fields(after).every(1)).toEqual(new Fields(before).every(1));
  });

  it('is whole again when asked for again', async () => {
    const { before } = await spoilt('dropEntry');
    expect(await ask()).toEqual(before);
  });
});

it('a stream is cut after so many messages', async () => {
  node.faults.set([{ method: 'Subscribe', fault: { kind: 'cut', afterMessages: 5 } }]);
  const stream = client.stream(
    'HubService/Subscribe',
    encode((out) => out.packed(1, [1, 11]).present(2, 0).present(4, shard)),
  );
  expect(await stream.ended).toMatchObject({ code: 14 });
  expect(stream.messages).toHaveLength(5);
});

it('a node that is away refuses connections, and comes back under its address', async () => {
  await node.goAway();
  expect(await codeOf(ask())).toBe(14);
  await node.comeBack();
  const again = rawClient(node.address);
  expect(await codeOf(again.call('HubService/GetInfo'))).toBe(0);
  again.close();
});

it('chances come from the seed', () => {
  const pattern = (seed: number): number[] => {
    const faults = new Faults(seed, [{ chance: 0.3, fault: { kind: 'silence' } }]);
    return Array.from({ length: 64 }, () => faults.for({ method: 'a/b', shard: 1, virtualShard: 0 }).length);
  };
  expect(pattern(5)).toEqual(pattern(5));
  expect(pattern(5)).not.toEqual(pattern(6));
});
