/** What a node tells fid by fid: the way around a page that it cannot serve, and to a single user. */
import { RecordRefused } from '../shared/failures';
import { understood, type Answer, type GrpcCalls } from './grpc-calls';
import type { FidStore, SnapchainNode } from './source';
import { wireType, type WireType } from './schema';

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

const pageSize = 1000; // 0.4 MB of messages; a node's own default is 10,000

export function fidCalls(
  calls: GrpcCalls,
): Pick<SnapchainNode, 'fids' | 'messagesOf' | 'nameProofsOf' | 'onChainEventsOf'> {
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
  };
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
