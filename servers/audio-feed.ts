/** The audio feed: a folder of recordings, offered to receivers over HTTP as the original sender does, and only read. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { json, send } from './audio/answer';
import type { Answer } from './audio/answer';
import type { Encoding } from './audio/encode';
import { answerRoute, preflight, refusalOf } from './audio/routes';
import { messageOf } from './audio/shows';

export interface AudioFeedSettings {
  /** Folder of `<show>.sqlite` files. Nothing in it is ever changed. */
  readonly dir: string;
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Of `audio_data`, unless a request asks otherwise with `?encoding=`; older receivers know integers only. */
  readonly encoding: Encoding;
  /** Segments in one answer at most, whatever `limit` asks for; 5000 by default. The original has no bound. */
  readonly limitMax?: number;
  /** With it, every request but GET /health must carry `Authorization: Bearer <token>`. */
  readonly token?: string;
  /** With it, HTTPS only. PEM files, read once. */
  readonly tls?: { readonly certFile: string; readonly keyFile: string };
  readonly log: FeedLog;
}

/** Where the feed tells what it does; pino's shape. One `request` line a request, never with its query or headers. */
export interface FeedLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface AudioFeed {
  readonly url: string;
  /** No new requests; those under way have 5 s to end. */
  close(): Promise<void>;
}

const limitMaxDefault = 5000; // the longest a receiver of ours asks for: `chunkSizeMax` of the audio contract
/** A reader that takes nothing for so long is cut off: its answer holds a snapshot of the recording open. */
const idleTimeoutMs = 120_000;
/** Longer than receivers keep an idle connection, so that it is they who let go of it. */
const keepAliveTimeoutMs = 75_000;
const closeTimeoutMs = 5000;

/** Listens when the promise resolves; rejects when it cannot (port taken, unreadable certificate). */
export async function startAudioFeed(settings: AudioFeedSettings): Promise<AudioFeed> {
  if (settings.token === '') throw new Error('start the audio feed: the token is empty. Set one, or leave it out');
  const server = createServer(settings.tls, createListener(settings));
  server.timeout = idleTimeoutMs;
  server.keepAliveTimeout = keepAliveTimeoutMs;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(settings.port, settings.host, resolve);
  });
  const { port } = server.address() as AddressInfo;
  const host = settings.host.includes(':') ? `[${settings.host}]` : settings.host;
  return { url: `${settings.tls ? 'https' : 'http'}://${host}:${port}`, close: () => close(server) };
}

function createServer(tls: AudioFeedSettings['tls'], listener: RequestListener): Server {
  if (!tls) return createHttpServer(listener);
  return createHttpsServer({ cert: readFileSync(tls.certFile), key: readFileSync(tls.keyFile) }, listener);
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const deadline = setTimeout(() => server.closeAllConnections(), closeTimeoutMs);
    // More than once: a connection whose answer is just ending counts as busy for a moment, and would then stay open.
    const sweep = setInterval(() => server.closeIdleConnections(), 50);
    server.close(() => {
      clearTimeout(deadline);
      clearInterval(sweep);
      resolve();
    });
  });
}

function createListener(settings: AudioFeedSettings): RequestListener {
  const isAuthorized = tokenCheck(settings.token);
  const feed = { ...settings, limitMax: settings.limitMax ?? limitMaxDefault };
  return (request, response) => {
    const [path = '/', query = ''] = splitOnce(request.url ?? '/', '?');
    logWhenDone(settings.log, request, response, path);
    if (request.method === 'OPTIONS') return send(response, preflight);
    if (path !== '/health' && !isAuthorized(request)) return send(response, unauthorized);
    answerRoute(feed, { request, response, path, query }).catch((error: unknown) => {
      if ((error as { code?: unknown }).code === 'ERR_STREAM_PREMATURE_CLOSE') return; // the client has gone
      const answer = refusalOf(error);
      if (answer.status >= 500) settings.log.warn({ path, reason: messageOf(error) }, 'request failed');
      // Once the body has begun, the cut connection is the only way to say that it is not whole.
      if (response.headersSent) response.destroy();
      else send(response, answer);
    });
  };
}

const unauthorized: Answer = {
  ...json(401, { error: 'Missing or wrong token: send Authorization: Bearer <token>' }),
  headers: [['www-authenticate', 'Bearer']],
};

/** Compares digests, so that neither the time taken nor the length tells anything of the token. */
function tokenCheck(token: string | undefined): (request: IncomingMessage) => boolean {
  if (token === undefined) return () => true;
  const digest = (value: string) => createHash('sha256').update(value).digest();
  const expected = digest(token);
  return (request) => {
    const given = /^bearer +(.*)$/i.exec(request.headers.authorization ?? '')?.[1];
    return given !== undefined && timingSafeEqual(digest(given), expected);
  };
}

/** `bytes` as handed to the connection, headers included; `cut` if the client left before the end. */
function logWhenDone(log: FeedLog, request: IncomingMessage, response: ServerResponse, path: string): void {
  const { method, socket } = request;
  const startedAt = performance.now();
  const bytesBefore = socket.bytesWritten;
  response.once('close', () => {
    const ms = Math.round(performance.now() - startedAt);
    const bytes = socket.bytesWritten - bytesBefore;
    const cut = !response.writableFinished;
    log.info({ method, path, status: response.statusCode, bytes, ms, ...(cut && { cut }) }, 'request');
  });
}

function splitOnce(text: string, separator: string): [string, string?] {
  const at = text.indexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + separator.length)];
}
