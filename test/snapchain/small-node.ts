/** A gRPC server that says what a test tells it to, by method: raw answers, errors by code and text, silence and cuts. */
import {
  Server,
  ServerCredentials,
  status,
  type handleServerStreamingCall,
  type handleUnaryCall,
  type Metadata,
  type ServerWritableStream,
} from '@grpc/grpc-js';
import type { NodeSettings } from '../../activities/snapchain/grpc-calls';
import type { SnapchainNode } from '../../activities/snapchain/source';
import { connectNode } from '../../activities/snapchain/node-client';
import { NodeFailure } from '../../activities/snapchain/node-failures';
import { wireType } from '../../activities/snapchain/schema';
import { lines } from './recorded';

export interface Call {
  readonly request: Buffer;
  readonly metadata: Metadata;
  /** The nth of its method, from 1. */
  readonly nth: number;
}

/** An error as a node would answer. */
export class Refusal {
  constructor(
    readonly details: string,
    readonly code: number = status.INTERNAL,
  ) {}
}

export type Answering = (call: Call) => Buffer | Refusal | Promise<Buffer | Refusal>;
export type Streaming = (call: Call, stream: ServerWritableStream<Buffer, Buffer>) => void;

export interface SmallNode {
  readonly address: string;
  /** Methods called, in order: `GetInfo`. */
  readonly called: string[];
  /** Resolves with the method of the first call that the client gives up. */
  readonly givenUp: Promise<string>;
  /** Cuts every connection and stops listening. */
  stop(): void;
}

const asIs = (bytes: Buffer): Buffer => bytes;

/** Serves the methods given (`GetInfo`, …) on loopback; any other is UNIMPLEMENTED. */
async function startSmallNode(
  answers: Readonly<Record<string, Answering>>,
  options: { streams?: Readonly<Record<string, Streaming>>; credentials?: ServerCredentials } = {},
): Promise<SmallNode> {
  const server = new Server({ 'grpc.max_send_message_length': -1 });
  const called: string[] = [];
  let gaveUp: (name: string) => void = () => undefined;
  const givenUp = new Promise<string>((resolve) => (gaveUp = resolve));
  const counts = new Map<string, number>();
  const callOf = (name: string, request: Buffer, metadata: Metadata): Call => {
    called.push(name);
    counts.set(name, (counts.get(name) ?? 0) + 1);
    return { request, metadata, nth: counts.get(name) ?? 1 };
  };
  const service = (name: string): string => (/^GetShard[ST]/.test(name) ? 'ReplicationService' : 'HubService');
  for (const [name, answering] of Object.entries(answers)) {
    const answer: handleUnaryCall<Buffer, Buffer> = (given, done) => {
      let isAnswered = false;
      // The library says it of every call that has ended.
      given.on('cancelled', () => (isAnswered ? undefined : gaveUp(name)));
      void Promise.resolve(answering(callOf(name, given.request, given.metadata))).then((said) => {
        isAnswered = true;
        if (said instanceof Refusal) done(said);
        else done(null, said);
      });
    };
    server.register(`/${service(name)}/${name}`, answer, asIs, asIs, 'unary');
  }
  for (const [name, streaming] of Object.entries(options.streams ?? {})) {
    const answer: handleServerStreamingCall<Buffer, Buffer> = (stream) => {
      streaming(callOf(name, stream.request, stream.metadata), stream);
    };
    server.register(`/${service(name)}/${name}`, answer, asIs, asIs, 'serverStream');
  }
  const credentials = options.credentials ?? ServerCredentials.createInsecure();
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', credentials, (error, bound) => (error ? reject(error) : resolve(bound))),
  );
  const scheme = options.credentials === undefined ? 'http' : 'https';
  return { address: `${scheme}://127.0.0.1:${port}`, called, givenUp, stop: () => server.forceShutdown() };
}

const nodes: SmallNode[] = [];
const clients: SnapchainNode[] = [];

/** Ends what the two below began. */
export function stopAll(): void {
  for (const client of clients.splice(0)) client.close();
  for (const node of nodes.splice(0)) node.stop();
}

export async function nodeWith(
  answers: Readonly<Record<string, Answering>>,
  streams: Readonly<Record<string, Streaming>> = {},
  credentials?: ServerCredentials,
): Promise<SmallNode> {
  const node = await startSmallNode(answers, { streams, ...(credentials ? { credentials } : {}) });
  nodes.push(node);
  return node;
}

export function clientOf(settings: Omit<NodeSettings, 'endpoints'>, ...of: { address: string }[]): SnapchainNode {
  const client = connectNode({ endpoints: of.map(({ address }) => address), ...settings });
  clients.push(client);
  return client;
}

export async function failureOf(question: Promise<unknown>): Promise<NodeFailure> {
  const error: unknown = await question.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof NodeFailure)) throw new Error(`expected a NodeFailure, not ${String(error)}`);
  return error;
}

export async function all<T>(items: AsyncGenerator<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

export type Fields = Record<string, unknown>;

export const encoded = (type: string, fields: Fields): Buffer => wireType<Fields>(type).encode(fields);
export const asked = <T extends Fields>(type: string, request: Buffer): T => wireType<T>(type).decode(request);

/** What the real node answered to this. */
export function recorded(method: string, request: Fields = {}): Buffer {
  const line = lines.find(
    (each) =>
      each.method.endsWith(`/${method}`) &&
      Object.entries(request).every(([key, value]) => each.request[key] === value),
  );
  if (!line) throw new Error(`the recording has no ${method} ${JSON.stringify(request)}`);
  return Buffer.from(line.response, 'base64');
}
