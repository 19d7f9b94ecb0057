/** Stands between a worker and a sender: hands every answer on at a steady pace, and counts what passed, and how often. */
import { createServer, request as ask, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Front {
  readonly url: string;
  /** Bytes of segments handed on: whole answers and the beginnings of broken ones. */
  readonly bytes: number;
  /** How often each segment was handed on whole. The proof of a copy's last segment (one id) is not counted. */
  readonly handedOn: ReadonlyMap<number, number>;
  /** Targets of requests for segments, as they came. */
  readonly asked: readonly string[];
  /** Resolves once so many bytes were handed on since the last `reset`. */
  reached(bytes: number): Promise<void>;
  /** Breaks off every answer under way: with a machine that dies go the bytes that it had sent ahead. */
  cut(): void;
  reset(): void;
  stop(): Promise<void>;
}

const tickMs = 20;

export async function startFront(sender: { port: number }, bytesPerSecond: number): Promise<Front> {
  let bytes = 0;
  let handedOn = new Map<number, number>();
  let asked: string[] = [];
  let waiting: { at: number; resolve: () => void }[] = [];
  const count = (slice: Buffer): void => {
    bytes += slice.length;
    for (const { resolve } of waiting.filter(({ at }) => at <= bytes)) resolve();
    waiting = waiting.filter(({ at }) => at > bytes);
  };

  const handOn = async (answer: IncomingMessage, response: ServerResponse, rows: RowCounter | null): Promise<void> => {
    const slice = Math.ceil((bytesPerSecond * tickMs) / 1000);
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      for (let at = 0; at < chunk.length; at += slice) {
        if (response.destroyed) return;
        const part = chunk.subarray(at, at + slice);
        if (rows === null) {
          response.write(part);
          continue;
        }
        await sleep((part.length / bytesPerSecond) * 1000);
        response.write(part);
        rows.push(part);
        count(part);
      }
    }
    rows?.finish();
    response.end();
  };

  const server = createServer((request, response) => {
    const target = request.url ?? '/';
    const isChunk = target.includes('/segments?') && !/start_id=(\d+)&end_id=\1&/.test(target);
    if (isChunk) asked.push(target);
    const counted = handedOn;
    const rows = isChunk ? rowCounter((id) => counted.set(id, (counted.get(id) ?? 0) + 1)) : null;
    const { port } = sender;
    const upstream = ask({ port, host: '127.0.0.1', path: target, headers: request.headers, agent: false });
    upstream.on('response', (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      // What the sender's death breaks off is broken off here as well.
      handOn(answer, response, rows).catch(() => response.destroy());
    });
    upstream.on('error', () => response.destroy());
    response.on('close', () => upstream.destroy());
    upstream.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get bytes() {
      return bytes;
    },
    get handedOn() {
      return handedOn;
    },
    get asked() {
      return asked;
    },
    reached: (at) => new Promise((resolve) => (at <= bytes ? resolve() : waiting.push({ at, resolve }))),
    cut: () => server.closeAllConnections(),
    reset: () => {
      bytes = 0;
      handedOn = new Map();
      asked = [];
      waiting = [];
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

interface RowCounter {
  push(part: Buffer): void;
  finish(): void;
}

/** Sees ids go by in an answer's text; base64 cannot contain the key. A row is whole when the next begins. */
function rowCounter(whole: (id: number) => void): RowCounter {
  let text = '';
  let open: number | null = null;
  return {
    push: (part) => {
      text += part.toString('latin1');
      for (let found = /"id":(\d+),/.exec(text); found !== null; found = /"id":(\d+),/.exec(text)) {
        if (open !== null) whole(open);
        open = Number(found[1]);
        text = text.slice(found.index + found[0].length);
      }
      text = text.slice(-20); // an id may be cut in two
    },
    finish: () => {
      if (open !== null) whole(open);
    },
  };
}
