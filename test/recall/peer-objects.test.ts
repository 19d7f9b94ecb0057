/** The emulated network's object API, and how blobs come to be resolved. */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { encodeFunctionData, parseAbi, toEventSelector, type Hex } from 'viem';
import { untilMined } from '../peers/recall/actors';
import { machineAddress } from '../peers/recall/anvil';
import { startRecallNetwork, type RecallPeer } from '../peers/recall/network';
import { eventually } from '../support/temporal';

let peer: RecallPeer;
let owner: string;
let bucket: string;
beforeAll(async () => {
  peer = await startRecallNetwork({ blockSeconds: 0, resolveMs: 0, absentMs: 600 });
  owner = peer.wallets[0]?.address ?? '';
  const createBucket = parseAbi(['function createBucket(address owner, (string key, string value)[] metadata)']);
  await transact(machineAddress, encodeFunctionData({ abi: createBucket, args: [owner as Hex, []] }));
  bucket = (await peer.bucketsOf(owner))[0] ?? '';
});
afterAll(() => peer.stop());
afterEach(() => peer.faults.clear());

const transact = async (to: string, data: Hex): Promise<void> => {
  await untilMined(
    peer.anvil,
    await peer.anvil.call('eth_sendTransaction', { from: owner, to, data, gas: '0x800000' }),
  );
};
interface Uploaded {
  hash: string;
  metadata_hash: string;
}
const form = (bytes: Uint8Array<ArrayBuffer>): FormData => {
  const parts = new FormData();
  parts.append('size', String(bytes.length));
  parts.append('data', new Blob([bytes]));
  return parts;
};
const post = (body: FormData | string, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${peer.objects.url}/v1/objects`, { method: 'POST', body, headers });
const upload = async (bytes: Uint8Array<ArrayBuffer>): Promise<Uploaded> => {
  const response = await post(form(bytes));
  if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
  return (await response.json()) as Uploaded;
};
const fromBase32 = (text: string): Hex => {
  let value = 0n;
  for (const letter of text) value = value * 32n + BigInt('abcdefghijklmnopqrstuvwxyz234567'.indexOf(letter));
  return `0x${(value >> 4n).toString(16).padStart(64, '0')}`;
};
const addObject = parseAbi([
  'function addObject(bytes32 source, string key, bytes32 hash, bytes32 recoveryHash, uint64 size, uint64 ttl, (string key, string value)[] metadata, bool overwrite)',
]);
type Metadata = readonly { key: string; value: string }[];
const addition = (key: string, hash: Hex, size: number, metadata: Metadata = []): Hex => {
  const args = [`0x${peer.objects.nodeId}`, key, hash, hash, BigInt(size), 0n, metadata, true] as const;
  return encodeFunctionData({ abi: addObject, args });
};
const add = (...given: Parameters<typeof addition>): Promise<void> => transact(bucket, addition(...given));
const get = (key: string, init: RequestInit = {}): Promise<Response> =>
  fetch(`${peer.objects.url}/v1/objects/${bucket}/${key.split('/').map(encodeURIComponent).join('/')}`, init);
const readable = (key: string): Promise<Response> =>
  eventually(`${key} can be read`, async () => {
    const response = await get(key);
    return response.status === 200 ? response : null;
  });
const store = async (key: string, bytes: Uint8Array<ArrayBuffer>, type = 'text/plain'): Promise<void> => {
  await add(key, fromBase32((await upload(bytes)).hash), bytes.length, [{ key: 'content-type', value: type }]);
  await (await readable(key)).arrayBuffer();
};
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

describe('an upload', () => {
  it('has the same hash for the same bytes, and it is not one of the bytes alone', async () => {
    const bytes = Buffer.from('some bytes');
    const [first, second, another] = [await upload(bytes), await upload(bytes), await upload(Buffer.from('others'))];
    expect(first).toEqual(second);
    expect(first.hash).toMatch(/^[a-z2-7]{52}$/);
    expect(new Set([first.hash, first.metadata_hash, another.hash, another.metadata_hash]).size).toBe(4);
    expect(fromBase32(first.hash)).not.toBe(`0x${sha256(bytes)}`);
    expect(peer.objects.blobs.get(fromBase32(first.hash))).toMatchObject({ size: 10, sha256: sha256(bytes) });
  });

  const part = (name: string, value: string): string =>
    `--b\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
  it.each([
    [
      'a field that is unknown',
      part('size', '1') + part('colour', 'red') + part('data', 'x'),
      400,
      'unknown form field',
    ],
    ['no size', part('data', 'x'), 400, 'missing size in form'],
    ['a size that is no number', part('size', 'big') + part('data', 'x'), 400, 'cannot parse size'],
    ['a size beyond the limit', part('size', '5000000001') + part('data', 'x'), 413, 'blob size exceeds maximum'],
    ['no data', `${part('size', '1')}--b--\r\n`, 400, 'missing data in form'],
    [
      'data without an end',
      `${part('size', '1')}--b\r\ncontent-disposition: form-data; name="data"\r\n\r\nx`,
      400,
      'incomplete form data',
    ],
  ])('with %s is refused', async (_, body, status, message) => {
    const response = await post(body, { 'content-type': 'multipart/form-data; boundary=b' });
    expect([response.status, await response.json()]).toEqual([status, { code: status, message }]);
  });

  it('may have fields that are of no effect, and a boundary’s look-alike in its bytes', async () => {
    const bytes = '\r\n--bb\r\n--\r\n-';
    const body = `${part('chain_id', '1')}${part('size', String(bytes.length))}${part('data', bytes)}--b--\r\n`
      .replaceAll('--b\r\nc', '--bx\r\nc')
      .replace('--b--', '--bx--');
    const response = await post(body, { 'content-type': 'multipart/form-data; boundary=bx' });
    expect(peer.objects.blobs.get(fromBase32(((await response.json()) as Uploaded).hash))?.sha256).toBe(
      sha256(Buffer.from(bytes)),
    );
  });

  it('of 300 MB is neither kept in memory on its way in nor on its way out', async () => {
    const [chunk, chunks, hash] = [randomBytes(1_000_000), 300, createHash('sha256')];
    const before = process.memoryUsage().arrayBuffers;
    let most = 0;
    const watching = setInterval(() => (most = Math.max(most, process.memoryUsage().arrayBuffers - before)), 10);
    const headers = { 'content-type': 'multipart/form-data; boundary=b' };
    const posting = request(`${peer.objects.url}/v1/objects`, { method: 'POST', headers });
    const answered = once(posting, 'response') as Promise<[IncomingMessage]>;
    posting.write(part('size', String(chunks * chunk.length)) + part('data', '').slice(0, -2));
    for (let number = 0; number < chunks; number += 1) {
      hash.update(chunk);
      if (!posting.write(chunk)) await once(posting, 'drain');
    }
    posting.end('\r\n--b--\r\n');
    const said = Buffer.concat(await (await answered)[0].toArray()).toString();
    await add('large', fromBase32((JSON.parse(said) as Uploaded).hash), chunks * chunk.length);
    await eventually('it is there', async () => (await get('large', { method: 'HEAD' })).status === 200);
    const getting = request(`${peer.objects.url}/v1/objects/${bucket}/large`).end();
    const [large] = (await once(getting, 'response')) as [IncomingMessage];
    const back = createHash('sha256');
    for await (const bytes of large) back.update(bytes as Buffer);
    clearInterval(watching);
    expect(back.digest('hex')).toBe(hash.digest('hex'));
    // What is no longer used stays until it is collected.
    expect(most / 1e6).toBeLessThan(100);
  });
});

describe('an object', () => {
  it('is not found before it is resolved, and then has its bytes and its content type', async () => {
    const bytes = Buffer.from('{"a":1}');
    const hash = fromBase32((await upload(bytes)).hash);
    expect((await get('folder/é & 1')).status).toBe(404);
    await add('folder/é & 1', hash, bytes.length, [{ key: 'content-type', value: 'application/json' }]);
    const response = await readable('folder/é & 1');
    expect(response.headers.get('content-type')).toBe('application/json');
    expect(Buffer.from(await response.arrayBuffer())).toEqual(bytes);
    expect(await (await get('other')).json()).toEqual({ code: 404, message: 'Not Found' });
    const [found] = (await peer.contentOf(bucket)).filter(({ key }) => key === 'folder/é & 1');
    expect(found).toMatchObject({
      size: 7,
      added: 1,
      sha256: sha256(bytes),
      metadata: { 'content-type': 'application/json' },
    });
    const stored = await peer.bytesOf(bucket, 'folder/é & 1');
    expect(Buffer.concat(await (stored?.toArray() as Promise<Buffer[]>))).toEqual(bytes);
  });

  it('is given in parts', async () => {
    await store('parts', Buffer.from('0123456789'));
    const ranges = ['bytes=2-4', 'bytes=7-', 'bytes=-2', 'bytes=8-99'];
    const answers = await Promise.all(ranges.map((range) => get('parts', { headers: { range } })));
    expect(answers.map(({ status, headers }) => [status, headers.get('content-range')])).toEqual([
      [206, 'bytes 2-4/10'],
      [206, 'bytes 7-9/10'],
      [206, 'bytes 8-9/10'],
      [206, 'bytes 8-9/10'],
    ]);
    expect(await Promise.all(answers.map((answer) => answer.text()))).toEqual(['234', '789', '89', '89']);
    for (const range of ['bytes=10-', 'lines=1-2', 'bytes=5-2'])
      expect(await (await get('parts', { headers: { range } })).json()).toEqual({
        code: 400,
        message: 'invalid range header',
      });
    const head = await get('parts', { method: 'HEAD' });
    expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([200, '10', '']);
  });

  it('is gone when its time is up', async () => {
    await store('short', Buffer.from('x'));
    await peer.expire(bucket, ['short']);
    expect((await get('short')).status).toBe(404);
  });

  it.each([
    ['was never uploaded', (): Promise<[Hex, number]> => Promise.resolve([`0x${'77'.repeat(32)}`, 5])],
    [
      'is of another size than it was said',
      async (): Promise<[Hex, number]> => [fromBase32((await upload(Buffer.from('sized'))).hash), 6],
    ],
  ])('whose blob %s fails after a while', async (name, given) => {
    const [hash, size] = await given();
    await add(name, hash, size);
    await failed(hash);
    expect((await get(encodeURIComponent(name))).status).toBe(404);
  });

  it('fails on demand, and may be brought again', async () => {
    peer.faults.next.failBlob = 1;
    const bytes = Buffer.from('unlucky');
    const hash = fromBase32((await upload(bytes)).hash);
    await add('unlucky', hash, bytes.length);
    await failed(hash);
    await add('unlucky', hash, bytes.length);
    await readable('unlucky');
  });

  it('is resolved among hundreds within moments', async () => {
    const keys = Array.from({ length: 300 }, (_, index) => `many/${index}`);
    const hashes = await Promise.all(keys.map(async (key) => fromBase32((await upload(Buffer.from(key))).hash)));
    for (const [index, key] of keys.entries()) {
      const data = addition(key, hashes[index] as Hex, key.length);
      await peer.anvil.call('eth_sendTransaction', { from: owner, to: bucket, data, gas: '0x800000' });
    }
    const started = performance.now();
    await eventually('all are readable', async () => {
      const answers = await Promise.all(keys.map((key) => get(key, { method: 'HEAD' })));
      return answers.every(({ status }) => status === 200);
    });
    expect(performance.now() - started).toBeLessThan(5000);
  });
});

/** The network has decided, and against it. */
const failed = (hash: Hex): Promise<unknown> =>
  eventually(`${hash} has failed`, async () => {
    const topics = [toEventSelector('BlobFinalized(address,bytes32,bool)')];
    const logs = await peer.anvil.call<{ data: Hex }[]>('eth_getLogs', { fromBlock: '0x0', topics });
    return logs.some(({ data }) => data === `${hash}${'0'.repeat(64)}`);
  });

describe('the server', () => {
  it('is healthy and says which node it is, in either shape', async () => {
    expect((await fetch(`${peer.objects.url}/health`)).status).toBe(200);
    const node: unknown = await (await fetch(`${peer.objects.url}/v1/node`)).json();
    expect(node).toEqual({ node_id: peer.objects.nodeId, relay_url: null, direct_addresses: [] });
    const older = await startRecallNetwork({ blockSeconds: 0, nodeShape: 'nested' });
    expect(await (await fetch(`${older.objects.url}/v1/node`)).json()).toHaveProperty(
      'info.node_id',
      older.objects.nodeId,
    );
    await older.stop();
  });

  it('refuses and fails uploads, corrupts and cuts what is read, on demand', async () => {
    await store('fragile', Buffer.from('fragile bytes'));
    Object.assign(peer.faults.next, { refuseUpload: 1, failUpload: 1 });
    expect((await post(form(Buffer.from('x')))).status).toBe(400);
    expect((await post(form(Buffer.from('x')))).status).toBe(500);
    peer.faults.next.corrupt = 1;
    expect(await (await get('fragile')).text()).toBe('gragile bytes');
    peer.faults.next.cut = 1;
    await expect((await get('fragile')).text()).rejects.toThrow(/terminated/);
    peer.faults.next.unavailable = 1;
    expect((await get('fragile')).status).toBe(503);
    expect(await (await get('fragile')).text()).toBe('fragile bytes');
  });

  it('dies, and comes back with what it had', async () => {
    await store('kept', Buffer.from('kept bytes'));
    await peer.objects.stop();
    await expect(get('kept')).rejects.toThrow(/fetch failed/);
    await peer.objects.start();
    expect(await (await get('kept')).text()).toBe('kept bytes');
  });

  it('shows the chain’s refusals to whoever adds', async () => {
    await peer.setCredit(owner, 0n);
    const data = addition('poor', `0x${'12'.repeat(32)}`, 1);
    const call = { jsonrpc: '2.0', id: 1, method: 'eth_estimateGas', params: [{ from: owner, to: bucket, data }] };
    const response = await fetch(peer.rpc.url, { method: 'POST', body: JSON.stringify(call) });
    expect(await response.text()).toContain('insufficient credit (balance: 0; required: 86400)');
  });
});
