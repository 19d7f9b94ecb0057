/** What a node cannot or will not do: told apart by kind, waited for no longer than is sensible, and asked of another node. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ServerCredentials, status } from '@grpc/grpc-js';
import { eventTypes, firstEventOf } from '../../activities/snapchain/event';
import { parseEndpoint } from '../../activities/snapchain/grpc-calls';
import { loadHashing } from '../../activities/snapchain/hashing';
import type { NodeFailure } from '../../activities/snapchain/node-failures';
import { virtualShardOf } from '../../activities/snapchain/trie-key';
import { startGrpcServer } from '../peers/snapchain/grpc';
import { newFolder, removeFolders } from '../support/folders';
import { likesPage } from './encoded';
import { all, asked, clientOf, encoded, failureOf, nodeWith, recorded, Refusal, stopAll } from './small-node';

beforeAll(loadHashing);
afterEach(stopAll);
afterAll(removeFolders);

const fid = 7;
const from = { shardIndex: 1, height: 160, virtualShard: virtualShardOf(fid), pageToken: null };
const nothingHere = new Refusal('No connection', status.UNAVAILABLE);
const errors = JSON.parse(readFileSync('test/data/snapchain/samples/errors.json', 'utf8')) as Record<
  string,
  { grpc_error: { code: number; details: string } }
>;
const recordedRefusal = (name: string): Refusal => {
  const error = errors[name]?.grpc_error;
  if (!error) throw new Error(`no recorded error ${name}`);
  return new Refusal(error.details, error.code);
};

describe('a refusal is told apart', () => {
  const cases: [string, Refusal, NodeFailure['kind']][] = [
    ['a lost snapshot', recordedRefusal('expired_or_unknown_height'), 'snapshotLost'],
    ['a shard without a trie', recordedRefusal('shard0_transactions'), 'snapshotLost'],
    ['a virtual shard out of range', recordedRefusal('bad_vts'), 'requestRefused'],
    ['a token that is no base64', recordedRefusal('bad_token_base64'), 'pageTokenRefused'],
    ['a token of something else', recordedRefusal('bad_token_content'), 'pageTokenRefused'],
    ['an unknown shard’s list', recordedRefusal('unknown_shard_metadata'), 'shardUnknown'],
    ['a shard that is not streamed', recordedRefusal('subscribe_shard0'), 'shardUnknown'],
    ['no replication', new Refusal('', status.UNIMPLEMENTED), 'notOffered'],
    ['no credentials', new Refusal('who?', status.UNAUTHENTICATED), 'accessRefused'],
    ['wrong credentials', new Refusal('not you', status.PERMISSION_DENIED), 'accessRefused'],
    ['an overloaded node', new Refusal('slow down', status.RESOURCE_EXHAUSTED), 'unreachable'],
    ['an error nobody knows', new Refusal('Failed to get transactions: disk on fire'), 'unreachable'],
  ];
  it.each(cases)('%s', async (_, refusal, kind) => {
    const node = await nodeWith({ GetShardTransactions: () => refusal });
    const failure = await failureOf(all(clientOf({}, node).pages(from)));
    expect([failure.kind, failure.node]).toEqual([kind, node.address]);
    expect(failure.message).toContain(`${refusal.code} ${status[refusal.code]}: `);
    expect(failure.message).toMatch(/\. [A-Z].*\.$/);
  });

  it('a call that the server does not have', async () => {
    const node = await nodeWith({ GetInfo: () => recorded('GetInfo') });
    expect((await failureOf(clientOf({}, node).newestSnapshot(1))).kind).toBe('notOffered');
  });

  it('a shard that has no snapshot yet', async () => {
    const node = await nodeWith({ GetShardSnapshotMetadata: () => Buffer.alloc(0) });
    expect((await failureOf(clientOf({}, node).newestSnapshot(1))).kind).toBe('shardUnknown');
  });
});

describe('a connection', () => {
  it('that breaks in the middle of a page makes its node unreachable, and the next one is asked', async () => {
    const page = likesPage(fid, 300);
    const broken = await startGrpcServer((call) => call.breakOff(page));
    const whole = await nodeWith({ GetShardTransactions: () => page });
    try {
      const address = `http://127.0.0.1:${broken.port}`;
      expect((await failureOf(all(clientOf({}, { address }).pages(from)))).kind).toBe('unreachable');
      const [read] = await all(clientOf({}, { address }, whole).pages(from));
      expect([read?.node, read?.leaves.length]).toEqual([whole.address, 300]);
    } finally {
      await broken.stop();
    }
  });

  it('is encrypted for https, and trusted by the authority of the settings only', async () => {
    const folder = newFolder('snapchain-tls');
    const [certFile, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '1'];
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', keyFile];
    execFileSync('openssl', ['req', '-x509', ...key, '-out', certFile, ...subject], { stdio: 'ignore' });
    const ca = readFileSync(certFile);
    const pair = { cert_chain: ca, private_key: readFileSync(keyFile) };
    const node = await nodeWith({ GetInfo: () => recorded('GetInfo') }, {}, ServerCredentials.createSsl(null, [pair]));
    expect((await clientOf({ ca }, node).info()).node).toMatch(/^https:/);
    expect((await failureOf(clientOf({}, node).info())).kind).toBe('unreachable');
  });
});

describe('time', () => {
  it('that a call takes beyond its kind’s deadline makes the node unreachable', async () => {
    const node = await nodeWith({ GetInfo: () => new Promise(() => undefined) });
    const failure = await failureOf(clientOf({ deadlinesMs: { quick: 100 } }, node).info());
    expect([failure.kind, failure.message]).toEqual(['unreachable', expect.stringContaining('4 DEADLINE_EXCEEDED')]);
  });

  it('is cut short by the signal, whose reason is thrown, and the node is told', async () => {
    const stop = new AbortController();
    const reason = new Error('paused');
    const node = await nodeWith({
      GetEvents: () => {
        stop.abort(reason);
        return new Promise(() => undefined);
      },
    });
    await expect(clientOf({}, node).events({ shardIndex: 1, startId: 1 }, stop.signal)).rejects.toBe(reason);
    await expect(clientOf({}, node).info(stop.signal)).rejects.toBe(reason);
    expect(node.called).toEqual(['GetEvents']);
  });
});

describe('of several nodes', () => {
  it('the next is asked when one is gone, is believed from then on, and is named in its answers', async () => {
    const first = await nodeWith({ GetInfo: () => recorded('GetInfo') });
    const second = await nodeWith({ GetInfo: () => recorded('GetInfo') });
    const client = clientOf({}, first, second);
    expect((await client.info()).node).toBe(first.address);
    first.stop();
    expect([(await client.info()).node, (await client.info()).node]).toEqual([second.address, second.address]);
    expect(first.called).toEqual(['GetInfo']);
  });

  it.each([
    ['lost the snapshot', recordedRefusal('expired_or_unknown_height')],
    ['runs without replication', new Refusal('', status.UNIMPLEMENTED)],
    ['is silent', new Refusal('never said', status.DEADLINE_EXCEEDED)],
  ])('the next is asked for a first page when one %s', async (_, refusal) => {
    const first = await nodeWith({ GetShardTransactions: () => refusal });
    const second = await nodeWith({ GetShardTransactions: () => likesPage(fid, 3) });
    const [page] = await all(clientOf({}, first, second).pages(from));
    expect([page?.node, page?.leaves.length]).toEqual([second.address, 3]);
  });

  it('none is asked again for what is the question’s fault', async () => {
    const first = await nodeWith({ GetShardTransactions: () => recordedRefusal('bad_vts') });
    const second = await nodeWith({ GetShardTransactions: () => likesPage(fid, 3) });
    expect((await failureOf(all(clientOf({}, first, second).pages(from)))).kind).toBe('requestRefused');
    expect(second.called).toEqual([]);
  });

  it('when none can answer, the one that said most is believed, and all are told of', async () => {
    const first = await nodeWith({ GetShardTransactions: () => nothingHere });
    const second = await nodeWith({ GetShardTransactions: () => recordedRefusal('expired_or_unknown_height') });
    const failure = await failureOf(all(clientOf({}, first, second).pages(from)));
    expect(failure.kind).toBe('snapshotLost');
    expect(failure.message).toContain(first.address);
    expect(failure.message).toContain(second.address);
  });
});

describe('the doorbell', () => {
  const confirmed = (height: number): Buffer =>
    encoded('HubEvent', {
      type: eventTypes.blockConfirmed,
      id: firstEventOf(height),
      blockConfirmed: Buffer.alloc(0),
      blockNumber: height,
    });

  it('rings when the shard is beyond a height, and subscribes to confirmations only', async () => {
    let request: Buffer = Buffer.alloc(0);
    const node = await nodeWith(
      {},
      {
        Subscribe: (call, stream) => {
          request = call.request;
          for (const height of [5, 6, 4]) stream.write(confirmed(height));
        },
      },
    );
    const bell = clientOf({}, node).doorbell(2);
    expect(await bell.rings(4, 5000)).toBe(true);
    expect(await bell.rings(5, 5000)).toBe(true);
    expect(await bell.rings(6, 50)).toBe(false);
    expect({ ...asked('SubscribeQuestion', request) }).toEqual({ eventTypes: [11], shardIndex: 2 });
    expect(node.called).toEqual(['Subscribe']);
    bell.close();
  });

  it('is silent about a stream that broke, and listens anew the next time', async () => {
    const node = await nodeWith(
      {},
      {
        Subscribe: (call, stream) => {
          if (call.nth === 1) stream.emit('error', { code: status.UNAVAILABLE, details: 'cut' });
          else stream.write(confirmed(9));
        },
      },
    );
    const bell = clientOf({}, node).doorbell(1);
    expect(await bell.rings(8, 300)).toBe(false);
    expect(await bell.rings(8, 5000)).toBe(true);
    expect(node.called).toHaveLength(2);
    bell.close();
  });

  it('stops at the signal', async () => {
    const stop = new AbortController();
    const node = await nodeWith({}, { Subscribe: () => stop.abort(new Error('cancelled')) });
    const bell = clientOf({}, node).doorbell(1);
    await expect(bell.rings(1, 60_000, stop.signal)).rejects.toThrow('cancelled');
    bell.close();
  });
});

describe('an endpoint', () => {
  it.each([
    ['http://node:3383', 'http://node:3383', 'node:3383', false],
    ['node:3383', 'http://node:3383', 'node:3383', false],
    ['http://node', 'http://node:3383', 'node:3383', false],
    ['http://node:80/', 'http://node:80', 'node:80', false],
    ['https://node', 'https://node:443', 'node:443', true],
    ['https://[::1]:3383', 'https://[::1]:3383', '[::1]:3383', true],
  ])('%s', (endpoint, address, target, isEncrypted) => {
    expect(parseEndpoint(endpoint)).toEqual({ address, target, isEncrypted });
  });

  it.each(['', 'grpc://node', 'http://user:secret@node', 'http://node/path', 'http://', 'http://node?x=1'])(
    '%j is refused, without repeating it',
    (endpoint) => {
      expect(() => parseEndpoint(endpoint)).toThrow(/^snapchain_endpoint: .*Give http:\/\/host:3383/);
      expect(() => parseEndpoint(endpoint)).not.toThrow('secret');
    },
  );

  it('gets the metadata of the settings with every call', async () => {
    const seen: unknown[] = [];
    const node = await nodeWith({
      GetInfo: ({ metadata }) => {
        seen.push(metadata.get('authorization'));
        return recorded('GetInfo');
      },
    });
    await clientOf({ metadata: { authorization: 'Bearer t' } }, node).info();
    expect(seen).toEqual([['Bearer t']]);
  });
});
