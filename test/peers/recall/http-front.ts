/** A server on loopback that can die and come back on the same port, and end an answer in its middle. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface HttpFront {
  readonly url: string;
  /** On the same port again. */
  start(): Promise<void>;
  /** Dead: connections are cut and refused. */
  stop(): Promise<void>;
}

/** What `serve` throws ends the connection. */
export async function startHttpFront(
  serve: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
): Promise<HttpFront> {
  let server: Server | null = null;
  let port = 0;
  const start = async (): Promise<void> => {
    if (server !== null) return;
    const created = createServer((request, response) => {
      serve(request, response).catch(() => response.destroy());
    });
    created.keepAliveTimeout = 60_000;
    await new Promise<void>((resolve, reject) => {
      created.once('error', reject);
      created.listen(port, '127.0.0.1', resolve);
    });
    port = (created.address() as AddressInfo).port;
    server = created;
  };
  const stop = async (): Promise<void> => {
    const closing = server;
    server = null;
    if (closing === null) return;
    const closed = new Promise((resolve) => closing.close(resolve));
    closing.closeAllConnections();
    await closed;
  };
  await start();
  return { url: `http://127.0.0.1:${port}`, start, stop };
}

export function answerJson(response: ServerResponse, status: number, text: string): void {
  response
    .writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
    .end(text);
}

/** Half of the body that was announced, then nothing. */
export function cutAnswer(response: ServerResponse, text: string): void {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.write(text.slice(0, text.length / 2), () => response.destroy());
}
