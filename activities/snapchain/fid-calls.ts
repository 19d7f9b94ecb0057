/** What a node tells fid by fid: the way around a page that it cannot serve, and to a single user. */
import { RecordRefused } from '../shared/failures';
import { decodeMessage } from './message-data';
import { isNodeFailure } from './node-failures';
import { understood, type Answer, type GrpcCalls } from './grpc-calls';
import type { FidStore, SnapchainNode } from './source';
import { wireType, type WireType } from './schema';
import { keyMessageTypes, type GaslessKey } from './wire';

const methods: Readonly<Record<FidStore, string>> = {
  casts: 'GetAllCastMessagesByFid',
  reactions: 'GetAllReactionMessagesByFid',
  links: 'GetAllLinkMessagesByFid',
  verifications: 'GetAllVerificationMessagesByFid',
  userData: 'GetAllUserDataMessagesByFid',
  storageLends: 'GetAllLendStorageMessagesByFid',
  linkCompactStates: 'GetLinkCompactStateMessageByFid',
};

interface Paged {
  readonly nextPageToken: Buffer | null;
}
type Token = { readonly pageSize?: number; readonly pageToken?: Buffer };

const fidQuestion = wireType<{ fid: number } & Token>('FidQuestion');
const fidsQuestion = wireType<{ shardId: number } & Token>('FidsQuestion');
const fidsAnswer = wireType<{ readonly fids: readonly number[] } & Paged>('FidsAnswer');
const messagesAnswer = wireType<{ readonly messages: readonly Buffer[] } & Paged>('MessagesAnswer');
const proofsAnswer = wireType<{ readonly proofs: readonly Buffer[] }>('NameProofsAnswer');
const onChainQuestion = wireType<{ fid: number; eventType: number } & Token>('OnChainEventsQuestion');
const onChainAnswer = wireType<{ readonly events: readonly Buffer[] } & Paged>('OnChainEventsAnswer');

const signersAnswer = wireType<
  {
    readonly signers: readonly (Omit<GaslessKey, 'ttlSeconds'> & { readonly source: number; readonly ttl: number })[];
  } & Paged
>('SignersAnswer');
const chunksQuestion = wireType<{ shardId: number; start: number; stop: number }>('ChunksQuestion');
const chunksAnswer = wireType<{ readonly chunks: readonly { readonly transactions: readonly Transaction[] }[] }>(
  'ChunksAnswer',
);

interface Transaction {
  readonly fid: number;
  readonly userMessages: readonly Buffer[];
  readonly systemMessages: readonly {
    readonly blockEvent: {
      readonly data: { readonly mergeMessage: { readonly message: Buffer } | null } | null;
    } | null;
  }[];
}

/** Of a key: 1 is the chain's log, which is read as events. */
const offChain = 2;
const pageSize = 1000; // 0.4 MB of messages; a node's own default is 10,000

export function fidCalls(
  calls: GrpcCalls,
): Pick<SnapchainNode, 'fids' | 'messagesOf' | 'nameProofsOf' | 'onChainEventsOf' | 'gaslessKeysOf' | 'keyMessagesIn'> {
  return {
    fids: (shardIndex, signal) =>
      pagesOf(calls, fidsAnswer, signal, {
        method: 'HubService/GetFids',
        what: `GetFids of shard ${shardIndex}`,
        request: (token) => fidsQuestion.encode({ shardId: shardIndex, pageSize, ...token }),
        items: ({ fids }) => fids,
      }),
    messagesOf: (fid, store, signal) =>
      pagesOf(calls, messagesAnswer, signal, {
        method: `HubService/${methods[store]}`,
        what: `${methods[store]} of fid ${fid}`,
        request: (token) => fidQuestion.encode({ fid, pageSize, ...token }),
        items: ({ messages }) => messages,
      }),
    nameProofsOf: async (fid, signal) => {
      const what = `GetUserNameProofsByFid of fid ${fid}`;
      const request = fidQuestion.encode({ fid });
      const answer = await calls.ask({
        method: 'HubService/GetUserNameProofsByFid',
        request,
        kind: 'fid',
        what,
        signal,
      });
      return understood(proofsAnswer, answer, what).proofs;
    },
    onChainEventsOf: (fid, eventType, signal) =>
      pagesOf(calls, onChainAnswer, signal, {
        method: 'HubService/GetOnChainEvents',
        what: `GetOnChainEvents of fid ${fid}, type ${eventType}`,
        request: (token) => onChainQuestion.encode({ fid, eventType, pageSize, ...token }),
        items: ({ events }) => events,
      }),
    gaslessKeysOf: async (fid, signal) => {
      const keys: GaslessKey[] = [];
      try {
        for await (const page of pagesOf(calls, signersAnswer, signal, {
          method: 'HubService/GetSignersByFid',
          what: `GetSignersByFid of fid ${fid}`,
          request: (token) => fidQuestion.encode({ fid, pageSize, ...token }),
          items: ({ signers }) => signers,
        }))
          for (const { source, key, keyType, scopes, ttl, nonce, requestFid, addedAt } of page)
            if (source === offChain) keys.push({ key, keyType, scopes, ttlSeconds: ttl, nonce, requestFid, addedAt });
      } catch (error) {
        if (isNodeFailure(error, 'notOffered')) return null;
        throw error;
      }
      return keys.sort((a, b) => Buffer.compare(a.key, b.key));
    },
    keyMessagesIn: async ({ shardIndex, height }, signal) => {
      const what = `GetShardChunks of shard ${shardIndex}, block ${height}`;
      const request = chunksQuestion.encode({ shardId: shardIndex, start: height, stop: height + 1 });
      const answer = await calls.ask({ method: 'HubService/GetShardChunks', request, kind: 'fid', what, signal });
      const { chunks } = understood(chunksAnswer, answer, what);
      if (chunks.length === 0) return null;
      const where = `${what} from ${answer.node}`;
      return chunks.flatMap(({ transactions }) => transactions.flatMap((each) => keyMessagesOf(each, where)));
    },
  };
}

/** Shard 0 merges key messages, and the others hear of them from it; a message that cannot be read may be one. */
function keyMessagesOf({ fid, userMessages, systemMessages }: Transaction, where: string): number[] {
  const merged = systemMessages.flatMap(({ blockEvent }) => blockEvent?.data?.mergeMessage?.message ?? []);
  return [...userMessages, ...merged].flatMap((bytes) => {
    try {
      const message = decodeMessage(bytes, where);
      return keyMessageTypes.includes(message.type) ? [message.fid] : [];
    } catch (error) {
      if (!(error instanceof RecordRefused)) throw error;
      return fid > 0 ? [fid] : [];
    }
  });
}

interface PagedCall<T, Item> {
  readonly method: string;
  readonly what: string;
  readonly request: (token: Token) => Buffer;
  readonly items: (answer: T) => readonly Item[];
}

/** A token belongs to the node that gave it: a list is read from one node, to its end. */
async function* pagesOf<T extends Paged, Item>(
  calls: GrpcCalls,
  type: WireType<T>,
  signal: AbortSignal | undefined,
  { method, what, request, items }: PagedCall<T, Item>,
): AsyncGenerator<readonly Item[]> {
  let node: string | null = null;
  let token: Buffer | null = null;
  do {
    const question = { method, request: request(token === null ? {} : { pageToken: token }), what, signal };
    const answer: Answer = await (node === null
      ? calls.ask({ ...question, kind: 'fid' })
      : calls.askOnly(node, { ...question, kind: 'fid' }));
    const page: T = understood(type, answer, what);
    const last: Buffer | null = token;
    token = page.nextPageToken !== null && page.nextPageToken.length > 0 ? page.nextPageToken : null;
    if (token !== null && last?.equals(token))
      throw new RecordRefused(`${what} from ${answer.node}: the same page token twice, ${token.toString('hex')}`);
    node = answer.node;
    yield items(page);
  } while (token !== null);
}
