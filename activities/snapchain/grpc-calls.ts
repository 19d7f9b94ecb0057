/**
 * gRPC to one of several nodes, bytes in and bytes out: the one that answered last is asked first, and the next one if it
 * is its own trouble. Deadlines go by the kind of call; an aborted signal cancels on the wire too.
 */
import { Client, credentials, Metadata, type ChannelOptions, type ClientReadableStream } from '@grpc/grpc-js';
import { isNodeFailure, mayBeBetterElsewhere, nodeFailure, noNodeAnswered, type NodeFailure } from './node-failures';
import { decodeAs, type WireType } from './schema';

export interface NodeSettings {
  /** `http://host:3383`, `https://host` or `host:3383` (not encrypted), the preferred one first. */
  readonly endpoints: readonly string[];
  /** Sent with every call, such as `authorization`. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** PEM of the authority that signed the nodes' certificates; the system's own if absent. */
  readonly ca?: Buffer;
  readonly deadlinesMs?: Partial<Readonly<Record<CallKind, number>>>;
}

/** What a call costs a node, and how long it may take therefore. */
export type CallKind = 'quick' | 'page' | 'events' | 'fid' | 'stream';

const deadlinesMs: Readonly<Record<CallKind, number>> = {
  quick: 10_000,
  // The first page of a fid with very many messages makes the node read all of them; its own clients wait as long.
  page: 60_000,
  events: 30_000,
  fid: 30_000,
  stream: 60_000,
};

/** 1,000 leaves are some 400 kB, but a compact link state has up to 64 kB, and grpc's own limit is 4 MB. */
export const messageBytesMax = 64 << 20;

const channelOptions: ChannelOptions = {
  'grpc.max_receive_message_length': messageBytesMax,
  // A connection that a firewall has forgotten is noticed while a page is awaited, and a doorbell's at all.
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 10_000,
  'grpc.initial_reconnect_backoff_ms': 200,
  'grpc.max_reconnect_backoff_ms': 5000,
  'grpc.service_config_disable_resolution': 1,
  // Each client its own connections: another's backoff is none of its business.
  'grpc.use_local_subchannel_pool': 1,
  // With HTTP/2's own 64 kB, a line of 50 ms gives 1.3 MB/s whatever its width.
  'grpc-node.flow_control_window': 8 << 20,
};

export interface Answer {
  readonly node: string;
  readonly bytes: Buffer;
}

export interface Question {
  /** `HubService/GetInfo`. */
  readonly method: string;
  readonly request: Buffer;
  readonly kind: CallKind;
  /** The call and what it asks, for messages: `GetEvents of shard 1 from 42`. */
  readonly what: string;
  readonly signal: AbortSignal | undefined;
}

export interface GrpcCalls {
  /** Throws NodeFailure once no node could answer, or the signal's reason. */
  ask(question: Question): Promise<Answer>;
  /** The same of one node only. If that cannot be reached, the next `ask` begins with another. */
  askOnly(node: string, question: Question): Promise<Answer>;
  /** A stream of messages from the node that would be asked first. Ends by throwing, unless the node ended it well. */
  stream(question: Omit<Question, 'kind'>): AsyncGenerator<Answer>;
  close(): void;
}

const asIs = (bytes: Buffer): Buffer => bytes;

interface Node {
  readonly address: string;
  readonly client: Client;
}

export function grpcCalls(settings: NodeSettings): GrpcCalls {
  const nodes = settings.endpoints.map((endpoint) => connected(endpoint, settings.ca));
  if (nodes.length === 0)
    throw new RangeError('connect to snapchain: no endpoint. Set [snapchain.sync] snapchain_endpoint.');
  const metadata = new Metadata();
  for (const [key, value] of Object.entries(settings.metadata ?? {})) metadata.set(key, value);
  const patienceMs = { ...deadlinesMs, ...settings.deadlinesMs };
  let preferred = 0;
  const nodeAt = (index: number): Node => nodes[index % nodes.length] as Node;

  const unary = ({ address, client }: Node, { method, request, kind, what, signal }: Question): Promise<Answer> =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(reasonToStop(signal));
      const options = { deadline: Date.now() + patienceMs[kind] };
      const call = client.makeUnaryRequest(`/${method}`, asIs, asIs, request, metadata, options, (error, bytes) => {
        signal?.removeEventListener('abort', cancel);
        if (signal?.aborted) reject(reasonToStop(signal));
        else if (error !== null || bytes === undefined) reject(nodeFailure(what, address, error ?? 'no answer'));
        else resolve({ node: address, bytes });
      });
      const cancel = (): void => call.cancel();
      signal?.addEventListener('abort', cancel, { once: true });
    });

  const leave = (node: Node, failure: unknown): void => {
    if (isElsewhere(failure) && nodeAt(preferred) === node) preferred = (preferred + 1) % nodes.length;
  };

  return {
    ask: async (question) => {
      const failures: NodeFailure[] = [];
      const first = preferred;
      for (let tried = 0; tried < nodes.length; tried += 1) {
        const node = nodeAt(first + tried);
        try {
          const answer = await unary(node, question);
          preferred = nodes.indexOf(node);
          return answer;
        } catch (error) {
          if (!isElsewhere(error)) throw error;
          leave(node, error);
          failures.push(error);
        }
      }
      throw noNodeAnswered(failures);
    },
    askOnly: async (address, question) => {
      const node = nodes.find((each) => each.address === address);
      if (node === undefined) throw new RangeError(`${question.what}: ${address} is none of the endpoints`);
      try {
        return await unary(node, question);
      } catch (error) {
        leave(node, error);
        throw error;
      }
    },
    async *stream({ method, request, what, signal }) {
      signal?.throwIfAborted();
      const node = nodeAt(preferred);
      const call = node.client.makeServerStreamRequest(`/${method}`, asIs, asIs, request, metadata);
      yield* messagesOf(call, node, what, signal, (error) => leave(node, error));
    },
    close: () => nodes.forEach(({ client }) => client.close()),
  };
}

/** An answer, decoded. Throws RecordRefused. */
export function understood<T>(type: WireType<T>, { bytes, node }: Answer, what: string): T {
  return decodeAs(type, bytes, `${what} from ${node}`, 'the answer');
}

async function* messagesOf(
  call: ClientReadableStream<Buffer>,
  node: Node,
  what: string,
  signal: AbortSignal | undefined,
  left: (failure: NodeFailure) => void,
): AsyncGenerator<Answer> {
  const cancel = (): void => call.cancel();
  signal?.addEventListener('abort', cancel, { once: true });
  try {
    for await (const bytes of call as AsyncIterable<Buffer>) yield { node: node.address, bytes };
  } catch (error) {
    if (signal?.aborted) throw reasonToStop(signal);
    const failure = nodeFailure(what, node.address, error);
    left(failure);
    throw failure;
  } finally {
    signal?.removeEventListener('abort', cancel);
    call.cancel();
  }
}

const isElsewhere = (error: unknown): error is NodeFailure => isNodeFailure(error) && mayBeBetterElsewhere(error);

function reasonToStop(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error('stopped', { cause: signal.reason });
}

function connected(endpoint: string, ca: Buffer | undefined): Node {
  const { address, target, isEncrypted } = parseEndpoint(endpoint);
  const channel = isEncrypted ? credentials.createSsl(ca ?? null) : credentials.createInsecure();
  return { address, client: new Client(target, channel, channelOptions) };
}

const portPlain = 3383;
const portEncrypted = 443;

/** Throws RangeError for what is no address of a node, without repeating what may be a password in it. */
export function parseEndpoint(endpoint: string): { address: string; target: string; isEncrypted: boolean } {
  const text = /^[a-z]+:\/\//i.test(endpoint) ? endpoint : `http://${endpoint}`;
  const wrong = (reason: string): RangeError =>
    new RangeError(`snapchain_endpoint: ${reason}. Give http://host:3383, https://host or host:3383.`);
  if (!URL.canParse(text)) throw wrong('not an address');
  const url = new URL(text);
  if (url.username !== '' || url.password !== '')
    throw wrong('no user or password in the address: put them into [snapchain.credentials]');
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw wrong(`${url.protocol}// is not spoken here`);
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') throw wrong('nothing may follow host and port');
  const isEncrypted = url.protocol === 'https:';
  // A port that is the protocol's own is left out by URL, even if it was given.
  const given = /:(\d+)\/?$/.exec(text)?.[1];
  const port = given ?? String(isEncrypted ? portEncrypted : portPlain);
  const target = `${url.hostname}:${port}`;
  return { address: `${url.protocol}//${target}`, target, isEncrypted };
}
