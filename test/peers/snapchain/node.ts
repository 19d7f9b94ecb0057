/**
 * A snapchain node, emulated: both its services over a ledger (or over a recording), with its errors in its own words,
 * the quirks that were observed, and faults on demand.
 */
import { Fields } from './bytes';
import { Faults, type Fault, type FaultRule } from './faults';
import { startGrpcServer, type Call, type GrpcServer, type Handler } from './grpc';
import { CallError, codes } from './snapshot';

/** What answers the calls. Methods that are missing are UNIMPLEMENTED, as on an older node. */
export interface NodeContent {
  readonly unary: ReadonlyMap<string, (request: Fields, faults: readonly Fault[]) => Buffer>;
  readonly streams: ReadonlyMap<string, (request: Fields, stream: OutStream) => void>;
  /** Snapshots dropped; taken anew, as after a start. */
  restarted(): void;
  lostSnapshots(shard: number | undefined): void;
  stopped(): void;
}

/** A stream of messages to one client. */
export interface OutStream {
  readonly isOpen: boolean;
  send(message: Buffer): boolean;
  onDrain(again: () => void): void;
  onClose(closed: () => void): void;
  fail(code: number, details: string): void;
  end(): void;
}

export interface NodeOptions {
  readonly port?: number;
  readonly seed?: number;
  readonly faults?: readonly FaultRule[];
}

export interface SnapchainNode {
  /** host:port, in the clear. */
  readonly address: string;
  readonly faults: Faults;
  /** Calls so far, by the method's last part. */
  readonly calls: Map<string, number>;
  /** The last authorization header seen. */
  authorization: string | undefined;
  /** The node's process ends and starts again: connections drop, snapshots are new. */
  restart(): void;
  /** Connections drop, and nothing else. */
  dropConnections(): void;
  /** Nobody can connect until `comeBack`. */
  goAway(): Promise<void>;
  comeBack(): Promise<void>;
  stop(): Promise<void>;
}

const shardFields: Record<string, number> = { GetEvents: 2, Subscribe: 4, GetFids: 4 };
const garbage = Buffer.from('ffffffffffffffffffffffff0a', 'hex');

export async function serve(content: NodeContent, options: NodeOptions = {}): Promise<SnapchainNode> {
  const faults = new Faults(options.seed ?? 1, options.faults ?? []);
  const calls = new Map<string, number>();
  let server: GrpcServer | undefined;

  const restart = (): void => {
    content.restarted();
    server?.dropConnections();
  };

  const handler: Handler = async (call) => {
    const name = call.method.split('/').at(-1) ?? '';
    calls.set(name, (calls.get(name) ?? 0) + 1);
    const { authorization } = call.metadata;
    node.authorization = typeof authorization === 'string' ? authorization : undefined;
    const request = new Fields(call.request);
    const shard = request.optionalUint(shardFields[name] ?? 1);
    const virtualShard = name === 'GetShardTransactions' ? request.uint(3) : undefined;
    const due = faults.for({ method: call.method, shard, virtualShard });
    for (const fault of due) {
      if (fault.kind === 'slow') await new Promise((resolve) => setTimeout(resolve, fault.delayMs));
      else if (fault.kind === 'status') throw new CallError(fault.code, fault.details);
      else if (fault.kind === 'silence') return;
      else if (fault.kind === 'loseSnapshots') content.lostSnapshots(shard);
      else if (fault.kind === 'restart') return restart();
    }
    dispatch(content, call, request, due);
  };

  server = await startGrpcServer(handler, options.port ?? 0);
  const { port } = server;
  const node: SnapchainNode = {
    address: `127.0.0.1:${port}`,
    faults,
    calls,
    authorization: undefined,
    restart,
    dropConnections: () => server?.dropConnections(),
    goAway: async () => {
      await server?.stop();
      server = undefined;
    },
    comeBack: async () => {
      content.restarted();
      server = await startGrpcServer(handler, port);
    },
    stop: async () => {
      content.stopped();
      await server?.stop();
    },
  };
  return node;
}

function dispatch(content: NodeContent, call: Call, request: Fields, due: readonly Fault[]): void {
  const unary = content.unary.get(call.method);
  const stream = content.streams.get(call.method);
  if (unary) {
    let response = unary(request, due);
    for (const fault of due) {
      if (fault.kind === 'padding') response = Buffer.concat([response, paddingBytes(fault.bytes)]);
      else if (fault.kind === 'garbage') response = garbage;
      else if (fault.kind === 'reset') return call.breakOff(response);
    }
    call.send(response);
    call.end();
  } else if (stream) {
    const cut = due.find((fault) => fault.kind === 'cut');
    stream(request, cut ? cutAfter(call, cut.afterMessages) : call);
  } else {
    throw new CallError(codes.unimplemented, '');
  }
}

/** An unknown field of this many bytes: legal, ignored by every decoder, and as heavy as real content. */
function paddingBytes(bytes: number): Buffer {
  const head = Buffer.from([(15 << 3) | 2, 0x80, 0x80, 0x80, 0]); // field 15, its length as a varint of four bytes
  for (let at = 0, rest = bytes; at < 4; at += 1, rest = rest >>> 7) head[at + 1] = (rest & 127) | (at < 3 ? 128 : 0);
  return Buffer.concat([head, Buffer.alloc(bytes)]);
}

function cutAfter(call: Call, messages: number): OutStream {
  let left = messages;
  return {
    get isOpen() {
      return call.isOpen && left > 0;
    },
    send: (message) => {
      if (left <= 0) return false;
      const more = call.send(message);
      left -= 1;
      if (left === 0) call.fail(codes.unavailable, 'the connection was cut');
      return more;
    },
    onDrain: (again) => call.onDrain(again),
    onClose: (closed) => call.onClose(closed),
    fail: (code, details) => call.fail(code, details),
    end: () => call.end(),
  };
}
