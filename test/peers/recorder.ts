/**
 * The original's recording server (save_audio_stream 2527cd7), emulated: its three endpoints over shows held in memory,
 * with its own error texts, and every fault that a sender or the way to it was seen to have.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

export interface RecorderSegment {
  id: number;
  timestampMs: number;
  flag: 0 | 1;
  audio: Buffer;
}

export interface RecorderShow {
  uniqueId: string;
  format: string;
  splitInterval: string;
  bitrate: string;
  sampleRate: string;
  version: string;
  isRecipient: boolean;
  segments: RecorderSegment[];
  /** What max_id says, if not the truth. */
  claimedMaxId?: number;
}

export interface RecorderRequest {
  readonly path: string;
  /** The nth request for segments, from 1; 0 for others. */
  readonly segmentRequest: number;
  readonly response: ServerResponse;
}

export interface Recorder {
  readonly url: string;
  readonly shows: Map<string, RecorderShow>;
  /** Every request so far: method and target as they came. */
  readonly requests: string[];
  /** Authorization headers seen. */
  readonly authorizations: (string | undefined)[];
  encoding: 'integers' | 'base64';
  /** Before each answer with segments. */
  delayMs: number;
  /** Looks at each request first; returns true if it answered. */
  intercept: ((request: RecorderRequest) => boolean) | null;
  /** Changes what goes out: the rows of one answer as JSON text. */
  rewrite: ((rows: string, segmentRequest: number) => string) | null;
  stop(): Promise<void>;
}

/** A show of `count` segments, a boundary every `boundaryEvery`, its bytes made from id and `seed`. */
export function recorderShow(
  count: number,
  options: Partial<RecorderShow> & { seed?: number; bytes?: number } = {},
): RecorderShow {
  const { seed = 0, bytes = 40, ...rest } = options;
  const segments = Array.from({ length: count }, (_, index) => segmentOf(index + 1, seed, bytes));
  return {
    uniqueId: 'db_a1B2c3D4e5F6',
    format: 'opus',
    splitInterval: '10',
    bitrate: '16',
    sampleRate: '48000',
    version: '1',
    isRecipient: false,
    segments,
    ...rest,
  };
}

export function segmentOf(id: number, seed = 0, bytes = 40): RecorderSegment {
  const audio = Buffer.from(Array.from({ length: bytes }, (_, index) => (id * 31 + index * 7 + seed * 101) & 0xff));
  return { id, timestampMs: 1_794_652_238_423 + id * 10_000, flag: id % 10 === 1 ? 1 : 0, audio };
}

export async function startRecorder(): Promise<Recorder> {
  const sockets = new Set<Socket>();
  let segmentRequests = 0;
  const server: Server = createServer((request, response) => {
    recorder.requests.push(`${request.method} ${request.url}`);
    recorder.authorizations.push(request.headers.authorization);
    const path = request.url ?? '/';
    const isSegments = /\/segments\?/.test(path);
    if (isSegments) segmentRequests += 1;
    const segmentRequest = isSegments ? segmentRequests : 0;
    if (recorder.intercept?.({ path, segmentRequest, response }) === true) return;
    const reply = (): void => answer(recorder, request, response, segmentRequest);
    if (isSegments && recorder.delayMs > 0) setTimeout(reply, recorder.delayMs);
    else reply();
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const recorder: Recorder = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    shows: new Map(),
    requests: [],
    authorizations: [],
    encoding: 'integers',
    delayMs: 0,
    intercept: null,
    rewrite: null,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
  return recorder;
}

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  response
    .writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
    .end(text);
}

function answer(recorder: Recorder, request: IncomingMessage, response: ServerResponse, segmentRequest: number): void {
  const url = new URL(request.url ?? '/', 'http://recorder');
  if (url.pathname === '/api/sync/shows') return sendJson(response, 200, { shows: listing(recorder) });
  const [, encoded, rest] = /^\/api\/sync\/shows\/([^/]+)\/(metadata|segments)$/.exec(url.pathname) ?? [];
  if (encoded === undefined || rest === undefined) {
    response.writeHead(404, { 'content-length': 0 }).end();
    return;
  }
  const name = decodeURIComponent(encoded);
  const show = recorder.shows.get(name);
  if (show === undefined) return sendJson(response, 404, { error: `Show '${name}' not found` });
  if (show.isRecipient) return sendJson(response, 403, { error: 'Cannot sync from a recipient database' });
  if (rest === 'metadata') return metadata(response, name, show);
  const number = (key: string, otherwise: number): number => Number(url.searchParams.get(key) ?? otherwise);
  const start = number('start_id', 0);
  const end = number('end_id', 0);
  const rows = show.segments.filter(({ id }) => id >= start && id <= end).slice(0, number('limit', 100));
  const text = JSON.stringify(
    rows.map(({ id, timestampMs, flag, audio }) => ({
      id,
      timestamp_ms: timestampMs,
      is_timestamp_from_source: flag,
      audio_data: recorder.encoding === 'base64' ? audio.toString('base64') : [...audio],
    })),
  );
  sendJson(response, 200, recorder.rewrite?.(text, segmentRequest) ?? text);
}

function listing({ shows }: Recorder): object[] {
  return [...shows]
    .filter(([, show]) => !show.isRecipient && show.segments.length > 0)
    .map(([name, show]) => ({
      name,
      database_file: `${name}.sqlite`,
      min_id: show.segments[0]?.id,
      max_id: show.segments.at(-1)?.id,
    }));
}

function metadata(response: ServerResponse, name: string, show: RecorderShow): void {
  const first = show.segments[0];
  const last = show.segments.at(-1);
  if (first === undefined || last === undefined) return sendJson(response, 500, { error: 'No segments found' });
  sendJson(response, 200, {
    unique_id: show.uniqueId,
    name,
    audio_format: show.format,
    split_interval: show.splitInterval,
    bitrate: show.bitrate,
    sample_rate: show.sampleRate,
    version: show.version,
    is_recipient: false,
    min_id: first.id,
    max_id: show.claimedMaxId ?? last.id,
  });
}
