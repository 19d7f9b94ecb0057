/**
 * gRPC's server side on node:http2, by hand: raw bytes out, and every way in which an answer can break on its way,
 * which a complete gRPC library would not let happen (half a message, a reset, silence).
 */
import { createServer, constants, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { CallError, codes } from './snapshot';

/** One call. Whoever handles it ends it exactly once: by `end`, `fail` or one of the ways to break it. */
export interface Call {
  readonly method: string;
  readonly request: Buffer;
  readonly metadata: Readonly<Record<string, string | string[] | undefined>>;
  /** Sends a message; false if the client should be given time (`onDrain`). */
  send(message: Buffer): boolean;
  onDrain(again: () => void): void;
  end(): void;
  fail(code: number, details: string): void;
  /** Sends the first part of a message, then resets the stream. */
  breakOff(message: Buffer): void;
  onClose(closed: () => void): void;
  readonly isOpen: boolean;
}

export interface GrpcServer {
  readonly port: number;
  /** Drops every connection; the port stays open. */
  dropConnections(): void;
  stop(): Promise<void>;
}

export type Handler = (call: Call) => void | Promise<void>;

const frameHeadBytes = 5;

function framed(message: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(frameHeadBytes + message.length);
  frame.writeUInt8(0, 0);
  frame.writeUInt32BE(message.length, 1);
  message.copy(frame, frameHeadBytes);
  return frame;
}

const contentType = { ':status': 200, 'content-type': 'application/grpc' };

/** As gRPC has it: printable ASCII stays as it is. */
const percentEncoded = (text: string): string => text.replace(/[^\x20-\x7e]|%/gu, encodeURIComponent);

class StreamCall implements Call {
  #status = { 'grpc-status': '0', 'grpc-message': '' };
  #answering = false;

  constructor(
    readonly method: string,
    readonly request: Buffer,
    readonly metadata: Readonly<Record<string, string | string[] | undefined>>,
    readonly stream: ServerHttp2Stream,
  ) {}

  get isOpen(): boolean {
    return !this.stream.destroyed && !this.stream.closed;
  }

  #begin(): void {
    if (this.#answering) return;
    this.#answering = true;
    this.stream.respond(contentType, { waitForTrailers: true });
    this.stream.on('wantTrailers', () => this.stream.sendTrailers(this.#status));
  }

  send(message: Buffer): boolean {
    if (!this.isOpen) return false;
    this.#begin();
    return this.stream.write(framed(message));
  }

  onDrain(again: () => void): void {
    this.stream.once('drain', again);
  }

  end(): void {
    if (!this.isOpen) return;
    this.#begin();
    this.stream.end();
  }

  fail(code: number, details: string): void {
    if (!this.isOpen) return;
    const status = { 'grpc-status': String(code), 'grpc-message': percentEncoded(details) };
    if (!this.#answering) return this.stream.respond({ ...contentType, ...status }, { endStream: true });
    this.#status = status;
    this.stream.end();
  }

  breakOff(message: Buffer): void {
    if (!this.isOpen) return;
    this.#begin();
    const half = framed(message).subarray(0, frameHeadBytes + Math.floor(message.length / 2));
    this.stream.write(half, () => this.stream.close(constants.NGHTTP2_INTERNAL_ERROR));
  }

  onClose(closed: () => void): void {
    this.stream.once('close', closed);
  }
}

function requestOf(chunks: readonly Buffer[]): Buffer {
  return Buffer.concat(chunks).subarray(frameHeadBytes);
}

/** Serves on loopback; `port` 0 takes a free one. An error that a handler throws is the call's answer. */
export async function startGrpcServer(handler: Handler, port = 0): Promise<GrpcServer> {
  const sessions = new Set<ServerHttp2Session>();
  const server: Http2Server = createServer();
  server.on('session', (session) => {
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
    session.on('error', () => session.destroy()); // a client that went away is no trouble of the node's
  });
  server.on('stream', (stream, headers) => {
    const chunks: Buffer[] = [];
    stream.on('error', () => stream.destroy());
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => {
      const call = new StreamCall(String(headers[':path']).slice(1), requestOf(chunks), headers, stream);
      void answer(handler, call);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  const dropConnections = (): void => {
    for (const session of sessions) session.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    dropConnections,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        dropConnections();
      }),
  };
}

async function answer(handler: Handler, call: Call): Promise<void> {
  try {
    await handler(call);
  } catch (error) {
    if (error instanceof CallError) call.fail(error.code, error.details);
    else call.fail(codes.internal, `the emulated node failed at ${call.method}: ${String(error)}`);
  }
}
