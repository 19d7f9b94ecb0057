/** How an answer goes out: the original sender's headers in the original's order, so that a diff shows only real differences. */
import type { ServerResponse } from 'node:http';

/** An answer that is written at once. `body` null: none, and no content-type either. */
export interface Answer {
  readonly status: number;
  readonly contentType: 'application/json' | 'text/plain; charset=utf-8' | null;
  readonly body: string;
  /** After the original's own headers, before content-length. */
  readonly headers?: readonly (readonly [string, string])[];
}

export const json = (status: number, value: unknown): Answer => ({
  status,
  contentType: 'application/json',
  body: JSON.stringify(value),
});

export const text = (status: number, body: string): Answer => ({
  status,
  contentType: 'text/plain; charset=utf-8',
  body,
});

export const empty = (status: number, headers: Answer['headers'] = []): Answer => ({
  status,
  contentType: null,
  body: '',
  headers,
});

/** An `{"error": …}` of the wire: what the original says, with its status. Thrown by whoever finds out. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  constructor(
    readonly status: 401 | 403 | 404 | 500,
    message: string,
    cause?: unknown,
  ) {
    super(message, { cause });
  }
}

/** Status line and headers. `length` null: the body's length is not known, it goes out chunked. */
export function writeHead(
  response: ServerResponse,
  answer: Omit<Answer, 'body'> & { readonly length: number | null },
): void {
  response.sendDate = false; // Node would write it capitalised and first
  response.removeHeader('connection'); // Node's keep-alive hint; HTTP/1.1 connections stay open without it
  const headers: [string, string][] = [
    ['vary', 'origin, access-control-request-method, access-control-request-headers'],
    ['access-control-allow-origin', '*'],
    ...((answer.headers ?? []) as [string, string][]),
    ['date', new Date().toUTCString()],
  ];
  if (answer.contentType !== null) headers.unshift(['content-type', answer.contentType]);
  const extent: [string, string] =
    answer.length === null ? ['transfer-encoding', 'chunked'] : ['content-length', String(answer.length)];
  headers.splice(-1, 0, extent);
  response.writeHead(answer.status, headers.flat());
}

export function send(response: ServerResponse, answer: Answer): void {
  const body = Buffer.from(answer.body);
  writeHead(response, { ...answer, length: body.length });
  response.end(body); // of an answer to HEAD, Node sends the head only
}
