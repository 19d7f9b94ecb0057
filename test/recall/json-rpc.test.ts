/** JSON-RPC with nodes of every temper: order, batches, refusals, cut and stale connections. */
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createJsonRpc, RpcError, type JsonRpc } from '../../activities/recall/json-rpc';
import { reasonOf } from '../../activities/shared/failures';
import { noSignal } from '../support/wallet-case';

interface Asked {
  readonly id: number;
  readonly method: string;
  readonly params: unknown[];
}
type Answer = (asked: Asked | Asked[], response: ServerResponse) => void;

let answer: Answer;
let bodies: (Asked | Asked[])[] = [];
const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const asked = JSON.parse(Buffer.concat(chunks).toString()) as Asked | Asked[];
    bodies.push(asked);
    answer(asked, response);
  });
});
let url = '';
let rpc: JsonRpc;
beforeAll(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  bodies = [];
  rpc = createJsonRpc(`${url}/v1?key=provider-key`);
});
afterEach(() => rpc.close());

const result = ({ id, params }: Asked): object => ({ jsonrpc: '2.0', id, result: params[0] });
const echo: Answer = (asked, response) =>
  void response.end(JSON.stringify(Array.isArray(asked) ? asked.map(result).reverse() : result(asked)));
const calls = (count: number): { method: string; params: unknown[] }[] =>
  Array.from({ length: count }, (_, index) => ({ method: 'echo', params: [index] }));

it('a thousand reads are twenty requests, answered in their order whatever the node’s', async () => {
  answer = echo;
  expect(await rpc.many(calls(1000), noSignal)).toEqual(calls(1000).map(({ params }) => params[0]));
  expect(bodies.map((body) => (Array.isArray(body) ? body.length : 1))).toEqual(Array.from({ length: 20 }, () => 50));
  expect(await rpc.many([], noSignal)).toEqual([]);
});

describe('a node that takes no batches', () => {
  const refusals: [string, (response: ServerResponse) => void][] = [
    ['by HTTP', (response) => response.writeHead(422).end('Failed to deserialize the JSON body')],
    [
      'by one error',
      (response) =>
        response.end(JSON.stringify({ jsonrpc: '2.0', id: null, error: { code: -32600, message: 'Invalid Request' } })),
    ],
  ];
  it.each(refusals)('and says so %s is asked one by one, from then on', async (_, refuse) => {
    answer = (asked, response) => (Array.isArray(asked) ? refuse(response) : echo(asked, response));
    expect(await rpc.many(calls(5), noSignal)).toEqual([0, 1, 2, 3, 4]);
    expect(await rpc.many(calls(5), noSignal)).toEqual([0, 1, 2, 3, 4]);
    expect(bodies.filter((body) => Array.isArray(body))).toHaveLength(1);
    expect(bodies.filter((body) => !Array.isArray(body))).toHaveLength(10);
  });

  it('only now is thrown, and taken at its word the next time', async () => {
    answer = (_, response) =>
      void response.end(
        JSON.stringify({ jsonrpc: '2.0', id: null, error: { code: -32005, message: 'limit exceeded' } }),
      );
    await expect(rpc.many(calls(5), noSignal)).rejects.toThrow('limit exceeded');
    answer = echo;
    await rpc.many(calls(5), noSignal);
    expect(bodies.every((body) => Array.isArray(body))).toBe(true);
  });
});

it('a refusal is told from trouble: alone it is thrown, in a batch it stands in its place', async () => {
  const refused = ({ id }: Asked): object => ({
    ...{ jsonrpc: '2.0', id },
    error: { code: 3, message: 'execution reverted', data: '0x08c379a0' },
  });
  answer = (asked, response) =>
    void response.end(
      JSON.stringify(
        Array.isArray(asked)
          ? asked.map((each) => (each.params[0] === 1 ? refused(each) : result(each)))
          : refused(asked),
      ),
    );
  const failure = await rpc.one('eth_call', [], noSignal).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(RpcError);
  expect(failure).toMatchObject({ method: 'eth_call', rpcCode: 3, message: 'execution reverted', data: '0x08c379a0' });
  const [first, second, third] = await rpc.many(calls(3), noSignal);
  expect([first, third]).toEqual([0, 2]);
  expect(second).toBeInstanceOf(RpcError);
});

it('what a node says as JSON-RPC counts, whatever its status', async () => {
  answer = (asked, response) =>
    response
      .writeHead(400)
      .end(JSON.stringify({ jsonrpc: '2.0', id: (asked as Asked).id, error: { code: -32000, message: 'no' } }));
  await expect(rpc.one('eth_call', [], noSignal)).rejects.toBeInstanceOf(RpcError);
});

describe('trouble', () => {
  const troubles: [string, Answer, RegExp][] = [
    ['a 503', (_, response) => response.writeHead(503).end('service\nunavailable'), /HTTP 503: service unavailable/],
    ['no JSON', (_, response) => void response.end('<html>'), /no JSON in the answer: <html>/],
    [
      'an answer that is none',
      (_, response) => void response.end('{"jsonrpc":"2.0","id":1}'),
      /neither result nor error/,
    ],
    [
      'an answer cut short',
      (_, response) => {
        response.writeHead(200, { 'content-length': 100 }).write('{"json');
        setTimeout(() => response.destroy(), 10);
      },
      /the answer broke off/,
    ],
    ['a connection cut', (_, response) => void response.destroy(), /socket hang up/],
  ];
  it.each(troubles)(
    'such as %s is no refusal, and names the node without what may be secret',
    async (_, trouble, reason) => {
      answer = trouble;
      const failure = await rpc.one('eth_call', [], noSignal).catch((error: unknown) => error);
      expect(failure).not.toBeInstanceOf(RpcError);
      expect(reasonOf(failure)).toMatch(reason);
      expect(reasonOf(failure)).not.toContain('provider-key');
    },
  );

  it('such as nobody there names the node', async () => {
    const nobody = createJsonRpc('http://127.0.0.1:1/');
    await expect(nobody.one('eth_call', [], noSignal)).rejects.toThrow(/POST http:\/\/127\.0\.0\.1:1: .*ECONNREFUSED/);
  });

  it('such as one missing in a batch is not taken for a result', async () => {
    answer = (asked, response) => void response.end(JSON.stringify((asked as Asked[]).slice(1).map(result)));
    await expect(rpc.many(calls(3), noSignal)).rejects.toThrow(/not answered in a batch of 3/);
  });
});

it('a kept connection that was closed meanwhile is asked once more on another', async () => {
  answer = echo;
  await rpc.one('echo', [1], noSignal);
  let cuts = 1;
  answer = (asked, response) => (cuts-- > 0 ? void response.destroy() : echo(asked, response));
  expect(await rpc.one('echo', [2], noSignal)).toBe(2);
  expect(bodies).toHaveLength(3);
});

it('a request ends when it is told to', async () => {
  answer = () => undefined;
  const controller = new AbortController();
  const waiting = rpc.one('echo', [1], controller.signal);
  setTimeout(() => controller.abort(), 20);
  await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
  expect(bodies).toHaveLength(1);
});
