/**
 * What a node's refusal means. A node answers nearly everything with INTERNAL, so its text is looked at; what is not known
 * is the world's trouble, and tried again.
 */
import { status, type ServiceError } from '@grpc/grpc-js';
import { codeOf, reasonOf } from '../shared/failures';

export type NodeFailureKind =
  /** Not reached, silent, cut off, overloaded: the world's. Another node may do. */
  | 'unreachable'
  /** The node has this snapshot no more (restarted, or after 24 h): go on with its newest. */
  | 'snapshotLost'
  /** A page holds a message that a node cannot serve. It never will: read the fids of this virtual shard one by one. */
  | 'pagePoisoned'
  /** A page larger than `messageBytesMax`, or no protobuf. Treated as a poisoned one. */
  | 'pageUndecodable'
  /** The token is of another snapshot: begin this virtual shard again. */
  | 'pageTokenRefused'
  /** Nothing at this place of the trie: of a page, another snapshot's token; of a subtree, no leaves. */
  | 'trieNodeMissing'
  /** No such shard here; or a node that has just started, and has it after its first block. */
  | 'shardUnknown'
  /** A version without this call, or a node that runs without replication: a person's. */
  | 'notOffered'
  /** Credentials: a person's. */
  | 'accessRefused'
  /** The node says that the question makes no sense: ours, or a person's. */
  | 'requestRefused';

export class NodeFailure extends Error {
  override name = 'NodeFailure';
  constructor(
    readonly kind: NodeFailureKind,
    /** The node's address. */
    readonly node: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

export function isNodeFailure(error: unknown, ...kinds: readonly NodeFailureKind[]): error is NodeFailure {
  return error instanceof NodeFailure && (kinds.length === 0 || kinds.includes(error.kind));
}

/** Kinds that may be one node's own: the next one is asked. */
const elsewhere: readonly NodeFailureKind[] = ['unreachable', 'snapshotLost', 'shardUnknown', 'notOffered'];
export const mayBeBetterElsewhere = (failure: NodeFailure): boolean => elsewhere.includes(failure.kind);

const remedies: Readonly<Record<NodeFailureKind, string>> = {
  unreachable: 'Asked again until it answers.',
  snapshotLost: 'The scan goes on with the newest snapshot.',
  pagePoisoned: 'The fids of this virtual shard are read one by one.',
  pageUndecodable: 'The fids of this virtual shard are read one by one.',
  pageTokenRefused: 'The virtual shard is read from its start.',
  trieNodeMissing: 'A virtual shard is read from its start; a fid has no records in this shard.',
  shardUnknown: 'Check shard_ids; a node that has just started knows its shards after the first block.',
  notOffered:
    'The node needs a newer version, or replication: [replication] enable = true and 1,024 open files or more.',
  accessRefused: 'Put the node’s credentials into [snapchain.credentials] of the worker’s waybill.toml.',
  requestRefused: 'Check shard_ids, and that the node’s version is one that this program knows.',
};

/** Texts by which nodes of version 0.14 say it. */
const texts: readonly (readonly [RegExp, NodeFailureKind])[] = [
  [/No stores found for the given height and shard|Store not found for shard \d+ and height/i, 'snapshotLost'],
  [/Shard store not found for shard|Invalid shard id/i, 'shardUnknown'],
  [/Failed to get transactions: Invalid message/i, 'pagePoisoned'],
  [/page token/i, 'pageTokenRefused'],
  [/Node ?not ?found/i, 'trieNodeMissing'],
  // What grpc-js says of a connection that broke in the middle of an answer, under various codes.
  [/RST_STREAM|ECONNRESET|EPIPE|Connection dropped|stream (was )?(closed|destroyed)|GOAWAY/i, 'unreachable'],
  [/Received message larger than max/i, 'pageUndecodable'],
];

const codes: Readonly<Partial<Record<number, NodeFailureKind>>> = {
  [status.INVALID_ARGUMENT]: 'requestRefused',
  [status.OUT_OF_RANGE]: 'requestRefused',
  [status.UNIMPLEMENTED]: 'notOffered',
  [status.UNAUTHENTICATED]: 'accessRefused',
  [status.PERMISSION_DENIED]: 'accessRefused',
};

/** `what` is the call and what it asked, for the message. */
export function nodeFailure(what: string, node: string, error: unknown): NodeFailure {
  const code = Number(codeOf(error));
  const details = detailsOf(error);
  const kind = codes[code] ?? texts.find(([text]) => text.test(details))?.[1] ?? 'unreachable';
  // The message has all that the cause says: told with it, it would be told twice.
  const said = `${code} ${status[code] ?? 'no gRPC status'}: ${tidy(details)}`;
  return new NodeFailure(kind, node, `${what} from ${node}: ${said}. ${remedies[kind]}`);
}

/** grpc-js's own: "No connection established. Last error: Error: connect ECONNREFUSED …. Resolution note: ". */
const tidy = (details: string): string =>
  details
    .replace(/\s*Resolution note:\s*$/, '')
    .replace(/^No connection established\. Last error: (Error: )?/, '')
    .replace(/[.\s]+$/, '');

function detailsOf(error: unknown): string {
  const details = (error as Partial<ServiceError> | null)?.details;
  return typeof details === 'string' && details !== '' ? details : reasonOf(error);
}

/** The page came, and could not be taken apart. */
export function pageUndecodable(what: string, node: string, error: unknown): NodeFailure {
  const message = `${what} from ${node}: ${reasonOf(error)}. ${remedies.pageUndecodable}`;
  return new NodeFailure('pageUndecodable', node, message, { cause: error });
}

/** No node could answer: the first that said something of its own is believed, and told with what befell the others. */
export function noNodeAnswered(failures: readonly NodeFailure[]): NodeFailure {
  const [first] = failures;
  if (first === undefined) throw new Error('noNodeAnswered without a failure');
  if (failures.length === 1) return first;
  const telling = failures.find(({ kind }) => kind !== 'unreachable') ?? first;
  const message = failures.map((failure) => failure.message).join(' — ');
  return new NodeFailure(telling.kind, telling.node, message, { cause: telling });
}
