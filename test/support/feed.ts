/** Asking a feed as bytes on a socket, so that what is compared is what goes over the wire. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { get } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Encoding } from '../../servers/audio/encode';

export interface RecordedAnswer {
  readonly method: string;
  readonly target: string;
  /** Sent besides `host`. */
  readonly headers: readonly string[];
  /** Status line and headers, without `date`. */
  readonly head: readonly string[];
  readonly body: string;
}

/** A file of `--- METHOD target` lines, each followed by the answer as it came. */
export function readRecordedAnswers(path: string): RecordedAnswer[] {
  const blocks = readFileSync(path, 'utf8').split(/^--- /m).slice(1);
  return blocks.map((block) => {
    const title = block.slice(0, block.indexOf('\n'));
    const answer = parseAnswer(Buffer.from(block.slice(title.length + 1)));
    const body = answer.body.subarray(0, answer.length ?? 0).toString();
    if (title === 'gzip?') {
      return { method: 'GET', target: '/api/sync/shows', headers: ['accept-encoding: gzip'], head: answer.head, body };
    }
    const [method = '', target = ''] = title.split(' ');
    return { method, target, headers: [], head: answer.head, body };
  });
}

export interface Answer {
  readonly status: number;
  /** Status line and headers, without `date`. */
  readonly head: readonly string[];
  readonly body: Buffer;
  readonly text: string;
  /** content-length; null where the body came chunked. */
  readonly length: number | null;
}

/** The whole answer to one request on a connection of its own. */
export async function ask(
  url: string,
  method: string,
  target: string,
  headers: readonly string[] = [],
): Promise<Answer> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.write([`${method} ${target} HTTP/1.1`, 'host: feed', 'connection: close', ...headers, '', ''].join('\r\n'));
  const received: Buffer[] = [];
  for await (const chunk of socket) received.push(chunk as Buffer);
  return parseAnswer(Buffer.concat(received));
}

function parseAnswer(bytes: Buffer): Answer {
  const end = bytes.indexOf('\r\n\r\n');
  const lines = bytes.subarray(0, end).toString().split('\r\n');
  const value = (name: string) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
  const rest = bytes.subarray(end + 4);
  const body = value('transfer-encoding') === 'chunked' ? joinChunks(rest) : rest;
  const length = value('content-length');
  return {
    status: Number(lines[0]?.split(' ')[1]),
    head: lines.filter((line) => !line.startsWith('date: ')),
    body,
    text: body.toString(),
    length: length === undefined ? null : Number(length),
  };
}

function joinChunks(bytes: Buffer): Buffer {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const lineEnd = bytes.indexOf('\r\n', at);
    const size = parseInt(bytes.subarray(at, lineEnd).toString(), 16);
    chunks.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + size));
    at = lineEnd + 2 + size + 2;
  }
  return Buffer.concat(chunks);
}

/** The audio of an answer in either encoding. */
export function decodeAudio(text: string): Buffer[] {
  const rows = JSON.parse(text) as { audio_data: string | number[] }[];
  return rows.map((row) =>
    typeof row.audio_data === 'string' ? Buffer.from(row.audio_data, 'base64') : Buffer.from(row.audio_data),
  );
}

/** Hands on the audio of an answer of one segment as it comes, for answers too big to hold. */
export async function readAudio(url: string, encoding: Encoding, onAudio: (bytes: Buffer) => void): Promise<void> {
  const [response] = (await once(get(url), 'response')) as [AsyncIterable<Buffer>];
  const opening = encoding === 'base64' ? '"audio_data":"' : '"audio_data":[';
  const decode = encoding === 'base64' ? base64Decoder() : integersDecoder();
  let head = '';
  for await (const chunk of response) {
    const started = head.includes(opening);
    if (!started) head += chunk.toString('latin1');
    const begin = head.indexOf(opening) + opening.length;
    if (head.includes(opening)) onAudio(decode(started ? chunk : Buffer.from(head.slice(begin), 'latin1')));
  }
}

function base64Decoder(): (text: Buffer) => Buffer {
  let held = '';
  return (text) => {
    held += text.toString('latin1').replace(/[^A-Za-z0-9+/].*/, '');
    const whole = held.length - (held.length % 4);
    const decoded = Buffer.from(held.slice(0, whole) + (text.includes('}') ? held.slice(whole) : ''), 'base64');
    held = held.slice(whole);
    return decoded;
  };
}

function integersDecoder(): (text: Buffer) => Buffer {
  let value = 0;
  return (text) => {
    const bytes = Buffer.alloc(text.length);
    let count = 0;
    for (let index = 0; index < text.length; index++) {
      const character = text[index] as number;
      if (character >= 48 && character <= 57) value = value * 10 + character - 48;
      else if (character === 44 || character === 93) {
        if (value >= 0) bytes[count++] = value;
        value = character === 93 ? -Infinity : 0; // the value's closing bracket: the array's own adds nothing
      }
    }
    return bytes.subarray(0, count);
  };
}

export interface FeedProcess {
  readonly url: string;
  /** Most memory the process ever had, in bytes: SQLite's own included, which JavaScript does not see. */
  peakBytes(): Promise<number>;
  stop(): void;
}

/** A feed in a process of its own, whose memory is nobody else's. */
export async function startFeedProcess(dir: string, encoding: Encoding): Promise<FeedProcess> {
  const settings = JSON.stringify({ dir, encoding, host: '127.0.0.1', port: 0 });
  const feedFile = JSON.stringify(join(__dirname, '../../servers/audio-feed.ts'));
  const script = `
    const { readFileSync } = require('node:fs');
    const { transformFileSync } = require(${JSON.stringify(require.resolve('@swc/core'))});
    const options = { swcrc: false, module: { type: 'commonjs' }, jsc: { target: 'es2022', parser: { syntax: 'typescript' } } };
    require.extensions['.ts'] = (module, file) => module._compile(transformFileSync(file, options).code, file);
    const peak = () => {
      try { return Number(/VmHWM:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024; }
      catch { return process.resourceUsage().maxRSS * 1024; }
    };
    process.on('message', () => process.send(peak()));
    process.on('disconnect', () => process.exit());
    const log = { info() {}, warn() {} };
    require(${feedFile}).startAudioFeed({ ...${settings}, log }).then((feed) => process.send(feed.url));`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const [url] = (await once(child, 'message')) as [string];
  return {
    url,
    async peakBytes() {
      child.send('peak');
      const [bytes] = (await once(child, 'message')) as [number];
      return bytes;
    },
    stop: () => void child.disconnect(),
  };
}
