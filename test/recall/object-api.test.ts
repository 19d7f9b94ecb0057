/** The object API's client: against the emulated network, and against a server that answers as it is told. */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import fc from 'fast-check';
import { createObjectApi, type ObjectApi } from '../../activities/recall/object-api';
import { RecordRefused, reasonOf } from '../../activities/shared/failures';
import { expectOnce, noSignal, openWalletCase, planOf, settle, stream, type WalletCase } from '../support/wallet-case';

describe('with the emulated network', () => {
  let given: WalletCase;
  let api: ObjectApi;
  beforeAll(async () => {
    given = await openWalletCase();
    api = createObjectApi(given.peer.objects.url);
  });
  afterAll(async () => {
    api.close();
    await given.stop();
  });
  afterEach(() => given.peer.faults.clear());

  it('every byte arrives, however it is cut', async () => {
    const chunks = fc.array(fc.uint8Array({ minLength: 1, maxLength: 3000 }), { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(chunks, async (parts) => {
        const whole = Buffer.concat(parts);
        const { blobHash, recoveryHash } = await api.upload(whole.length, stream(...parts), noSignal);
        expect(given.peer.objects.blobs.get(blobHash)).toMatchObject({
          size: whole.length,
          sha256: createHash('sha256').update(whole).digest('hex'),
        });
        expect(recoveryHash).toMatch(/^0x[0-9a-f]{64}$/);
        expect(await api.upload(whole.length, stream(whole), noSignal)).toEqual({ blobHash, recoveryHash });
      }),
      { numRuns: 20 },
    );
  });

  it('a large object is streamed in little memory, no faster than it is taken', async () => {
    const chunk = randomBytes(1024 * 1024);
    const chunks = 256;
    const hash = createHash('sha256');
    let heldMax = 0;
    async function* bytes(): AsyncGenerator<Uint8Array> {
      for (let index = 0; index < chunks; index += 1) {
        hash.update(chunk);
        heldMax = Math.max(heldMax, process.memoryUsage().arrayBuffers);
        yield Buffer.from(chunk);
      }
    }
    const before = process.memoryUsage().arrayBuffers;
    const { blobHash } = await api.upload(chunks * chunk.length, bytes(), noSignal);
    expect(given.peer.objects.blobs.get(blobHash)?.sha256).toBe(hash.digest('hex'));
    // Both ends are in this process; 256 MiB held would show.
    expect(heldMax - before).toBeLessThan(128 * 1024 * 1024);
  }, 120_000);

  it('names the node that takes uploads', async () => {
    expect(await api.node(noSignal)).toBe(`0x${given.peer.objects.nodeId}`);
  });

  it('gives back what is resolved, by keys with any letters in them, and nothing for what is not there', async () => {
    const plan = await planOf(given, 2, { folders: [['wet tür/50%/a+b?c#d/', 'application/json']] });
    await settle(given, plan);
    await expectOnce(given, plan);
    const [stored] = (await given.peer.contentOf(plan.bucket)).filter(({ key }) => key.startsWith('wet'));
    const { key = '', size, sha256 } = stored ?? {};
    expect(await api.head(plan.bucket, key, noSignal)).toEqual({ size });
    const hash = createHash('sha256');
    for await (const chunk of (await api.read(plan.bucket, key, noSignal)) ?? []) hash.update(chunk);
    expect(hash.digest('hex')).toBe(sha256);
    expect(await api.head(plan.bucket, 'no/such', noSignal)).toBeNull();
    expect(await api.read(plan.bucket, 'no/such', noSignal)).toBeNull();
  });

  it('what it says of an object is the record’s trouble, of itself the world’s', async () => {
    given.peer.faults.next.refuseUpload = 1;
    await expect(api.upload(1, stream(Buffer.from('a')), noSignal)).rejects.toBeInstanceOf(RecordRefused);
    given.peer.faults.next.unavailable = 1;
    const failure = await api.upload(1, stream(Buffer.from('a')), noSignal).catch((error: unknown) => error);
    expect(failure).not.toBeInstanceOf(RecordRefused);
    expect(reasonOf(failure)).toMatch(/\/v1\/objects \(1 bytes\): HTTP 503/);
  });
});

describe('with a server that answers as it is told', () => {
  type Answer = (request: IncomingMessage, response: ServerResponse) => void;
  let answer: Answer;
  let requests = 0;
  const sockets = new Set<Socket>();
  const server = createServer((request, response) => {
    requests += 1;
    answer(request, response);
  });
  server.on('connection', (socket) => sockets.add(socket));
  let api: ObjectApi;
  beforeAll(async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    api = createObjectApi(`http://127.0.0.1:${(server.address() as AddressInfo).port}/under/a/path/`);
  });
  afterAll(() => {
    api.close();
    server.closeAllConnections();
    server.close();
  });
  const hash = 'a'.repeat(52);
  const good = JSON.stringify({ hash, metadata_hash: hash });
  const taken: Answer = (request, response) => void request.resume().on('end', () => response.end(good));

  it.each([
    ['fewer', 10, [5], /ended after 5 of 10 bytes/],
    ['more', 10, [5, 6], /more than the 10 bytes/],
  ])(
    '%s bytes than announced are the record’s trouble, and the next upload is whole',
    async (_, size, parts, reason) => {
      answer = taken;
      const chunks = parts.map((length) => Buffer.alloc(length));
      const failure = await api.upload(size, stream(...chunks), noSignal).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(RecordRefused);
      expect(reasonOf(failure)).toMatch(reason);
      expect(await api.upload(3, stream(Buffer.from('abc')), noSignal)).toMatchObject({ blobHash: expect.any(String) });
    },
  );

  it('an answer before the end is taken at once, and its connection not used again', async () => {
    answer = (_, response) => response.writeHead(413).end('{"code":413,"message":"blob size exceeds maximum"}');
    let given = 0;
    let isClosed = false;
    async function* endless(): AsyncGenerator<Uint8Array> {
      try {
        for (; ; given += 1) yield Buffer.alloc(64 * 1024);
      } finally {
        isClosed = true;
      }
    }
    const failure = await api.upload(5_000_000_000, endless(), noSignal).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(RecordRefused);
    expect(reasonOf(failure)).toMatch(/HTTP 413 .*exceeds maximum/);
    expect({ isClosed, few: given < 2000 }).toEqual({ isClosed: true, few: true });
    answer = taken;
    expect(await api.upload(3, stream(Buffer.from('abc')), noSignal)).toMatchObject({ blobHash: expect.any(String) });
  });

  it.each([
    [404, { type: 'NetworkRefused', nonRetryable: true }],
    [405, { type: 'NetworkRefused', nonRetryable: true }],
    [401, { name: 'Error' }],
    [429, { name: 'Error' }],
    [500, { name: 'Error' }],
    [400, { name: 'RecordRefused' }],
  ])('HTTP %d to an upload is told apart', async (status, failure) => {
    answer = (request, response) => void request.resume().on('end', () => response.writeHead(status).end('no'));
    await expect(api.upload(1, stream(Buffer.from('a')), noSignal)).rejects.toMatchObject(failure);
  });

  it.each(['', 'null', '<html>', '{}', JSON.stringify({ hash: 'short', metadata_hash: hash })])(
    'an answer of another shape (%s) is no upload',
    async (text) => {
      answer = (request, response) => void request.resume().on('end', () => response.end(text));
      await expect(api.upload(1, stream(Buffer.from('a')), noSignal)).rejects.toThrow(/another shape/);
    },
  );

  it('both shapes of the node’s address are understood, another is not', async () => {
    const id = 'AB'.repeat(32);
    for (const body of [{ node_id: id, relay_url: null }, { info: { node_id: id } }]) {
      answer = (_, response) => response.end(JSON.stringify(body));
      expect(await api.node(noSignal)).toBe(`0x${id.toLowerCase()}`);
    }
    answer = (_, response) => response.end('{"node_id":"12"}');
    await expect(api.node(noSignal)).rejects.toThrow(/GET http.*\/v1\/node: an answer of another shape/);
  });

  it('a source that breaks off breaks the upload off, with its own reason', async () => {
    let isWhole = false;
    answer = (request, response) => {
      request.on('end', () => (isWhole = true)).on('error', () => undefined);
      taken(request, response);
    };
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield Buffer.alloc(10);
      throw new Error('the store went away');
    }
    await expect(api.upload(20, broken(), noSignal)).rejects.toThrow('the store went away');
    expect(isWhole).toBe(false);
    expect(await api.upload(3, stream(Buffer.from('abc')), noSignal)).toMatchObject({ blobHash: expect.any(String) });
  });

  it('an abort ends an upload that waits', async () => {
    answer = () => undefined;
    const controller = new AbortController();
    const waiting = api.upload(1, stream(Buffer.from('a')), controller.signal);
    setImmediate(() => controller.abort());
    await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
  });

  it('a connection that was closed while it rested is not the reader’s trouble', async () => {
    answer = (_, response) => response.writeHead(200, { 'content-length': 7 }).end();
    expect(await api.head('0x01', 'a', noSignal)).toEqual({ size: 7 });
    const before = requests;
    let isFirst = true;
    answer = (request, response) => {
      if (isFirst) request.socket.destroy();
      else response.writeHead(200, { 'content-length': 8 }).end();
      isFirst = false;
    };
    expect(await api.head('0x01', 'a', noSignal)).toEqual({ size: 8 });
    expect(requests - before).toBe(2);
  });

  it('connections are kept', async () => {
    answer = taken;
    await api.upload(1, stream(Buffer.from('a')), noSignal);
    const before = sockets.size;
    for (let index = 0; index < 20; index += 1) await api.upload(1, stream(Buffer.from('a')), noSignal);
    expect(sockets.size).toBe(before);
  });

  it('an object that is there and cannot be read now is no missing one', async () => {
    answer = (_, response) => response.writeHead(500).end('{"code":500,"message":"oops"}');
    await expect(api.read('0x01', 'a', noSignal)).rejects.toThrow(/GET http.*\/v1\/objects\/0x01\/a: HTTP 500/);
    answer = (_, response) => response.writeHead(400).end('{"code":400,"message":"object a is not available"}');
    expect(await api.read('0x01', 'a', noSignal)).toBeNull();
  });
});
