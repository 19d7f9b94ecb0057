/** The bodies of every message type, and the system's own records (on-chain events, name proofs), each as wire bytes. */
import { encode } from './bytes';
import { messageTypes } from './messages';

/** What goes into a MessageData: the type's number, the body's field and its bytes. */
export interface Body {
  readonly type: number;
  readonly field: number;
  readonly bytes: Buffer;
}

export interface CastId {
  readonly fid: number;
  readonly hash: Uint8Array;
}

const castIdBytes = (id: CastId): Buffer => encode((out) => out.uint(1, id.fid).bytes(2, id.hash));

export interface CastContent {
  readonly text: string;
  readonly parent?: CastId | string;
  readonly mentions?: readonly number[];
  readonly mentionsPositions?: readonly number[];
  readonly embeds?: readonly (string | CastId)[];
  readonly embedsDeprecated?: readonly string[];
  /** 0 a cast, 1 a long one, 2 one of up to 10,000 characters. */
  readonly castType?: number;
}

export function castAdd(content: CastContent): Body {
  const bytes = encode((out) => {
    for (const url of content.embedsDeprecated ?? []) out.nested(1, url);
    out.packed(2, content.mentions ?? []);
    if (typeof content.parent === 'object') out.nested(3, castIdBytes(content.parent));
    // Clients write text even if there is none.
    out.nested(4, content.text).packed(5, content.mentionsPositions ?? []);
    for (const embed of content.embeds ?? []) {
      out.nested(
        6,
        encode((inner) => (typeof embed === 'string' ? inner.nested(1, embed) : inner.nested(2, castIdBytes(embed)))),
      );
    }
    if (typeof content.parent === 'string') out.nested(7, content.parent);
    out.uint(8, content.castType ?? 0);
  });
  return { type: messageTypes.castAdd, field: 5, bytes };
}

export const castRemove = (targetHash: Uint8Array): Body => ({
  type: messageTypes.castRemove,
  field: 6,
  bytes: encode((out) => out.bytes(1, targetHash)),
});

/** `reactionType` 1 is a like, 2 a recast. */
function reaction(type: number, reactionType: number, target: CastId | string): Body {
  const bytes = encode((out) => {
    out.uint(1, reactionType);
    if (typeof target === 'string') out.nested(3, target);
    else out.nested(2, castIdBytes(target));
  });
  return { type, field: 7, bytes };
}

export const reactionAdd = (kind: number, target: CastId | string): Body =>
  reaction(messageTypes.reactionAdd, kind, target);
export const reactionRemove = (kind: number, target: CastId | string): Body =>
  reaction(messageTypes.reactionRemove, kind, target);

function link(type: number, linkType: string, targetFid: number, displayTimestamp?: number): Body {
  const bytes = encode((out) => {
    out.bytes(1, linkType);
    if (displayTimestamp !== undefined) out.present(2, displayTimestamp);
    out.present(3, targetFid);
  });
  return { type, field: 14, bytes };
}

export const linkAdd = (linkType: string, targetFid: number, displayTimestamp?: number): Body =>
  link(messageTypes.linkAdd, linkType, targetFid, displayTimestamp);
export const linkRemove = (linkType: string, targetFid: number): Body =>
  link(messageTypes.linkRemove, linkType, targetFid);

export const linkCompactState = (linkType: string, targetFids: readonly number[]): Body => ({
  type: messageTypes.linkCompactState,
  field: 17,
  bytes: encode((out) => out.bytes(1, linkType).packed(2, targetFids)),
});

export interface VerificationContent {
  readonly address: Uint8Array;
  readonly claimSignature: Uint8Array;
  readonly blockHash: Uint8Array;
  readonly verificationType?: number;
  readonly chainId?: number;
  /** 0 Ethereum, 1 Solana. */
  readonly protocol?: number;
}

export const verificationAdd = (content: VerificationContent): Body => ({
  type: messageTypes.verificationAdd,
  field: 9,
  bytes: encode((out) =>
    out
      .bytes(1, content.address)
      .bytes(2, content.claimSignature)
      .bytes(3, content.blockHash)
      // Senders' encoders write these zeros out, as recorded: encoding again would change the hash.
      .present(4, content.verificationType ?? 0)
      .present(5, content.chainId ?? 0)
      .present(7, content.protocol ?? 0),
  ),
});

export const verificationRemove = (address: Uint8Array, protocol = 0): Body => ({
  type: messageTypes.verificationRemove,
  field: 10,
  bytes: encode((out) => out.bytes(1, address).present(2, protocol)),
});

export const userData = (dataType: number, value: string): Body => ({
  type: messageTypes.userData,
  field: 12,
  bytes: encode((out) => out.uint(1, dataType).bytes(2, value)),
});

export interface NameProof {
  /** Unix seconds. */
  readonly timestamp: number;
  readonly name: string;
  readonly owner: Uint8Array;
  readonly signature: Uint8Array;
  readonly fid: number;
  /** 1 fname, 2 ENS, 3 base name. */
  readonly nameType: number;
}

export const nameProofBytes = (proof: NameProof): Buffer =>
  encode((out) =>
    out
      .uint(1, proof.timestamp)
      .bytes(2, proof.name)
      .bytes(3, proof.owner)
      .bytes(4, proof.signature)
      .uint(5, proof.fid)
      .uint(6, proof.nameType),
  );

export const usernameProof = (proof: NameProof): Body => ({
  type: messageTypes.usernameProof,
  field: 15,
  bytes: nameProofBytes(proof),
});

/** `units` 0 takes the loan back. */
export const lendStorage = (toFid: number, units: number): Body => ({
  type: messageTypes.lendStorage,
  field: 18,
  bytes: encode((out) => out.uint(1, toFid).uint(2, units).uint(3, 2)),
});

export const keyAdd = (key: Uint8Array, nonce: number, scopes: readonly number[], ttlSeconds: number): Body => ({
  type: messageTypes.keyAdd,
  field: 19,
  bytes: encode((out) => out.bytes(1, key).uint(2, 1).uint(5, nonce).uint(7, 1).packed(9, scopes).uint(10, ttlSeconds)),
});

export const keyRemove = (key: Uint8Array, nonce: number): Body => ({
  type: messageTypes.keyRemove,
  field: 20,
  bytes: encode((out) => out.bytes(1, key).uint(3, 1).uint(5, nonce)),
});

export type OnChainBody =
  | { readonly kind: 'signer'; readonly key: Uint8Array; readonly change: 'add' | 'remove' }
  | { readonly kind: 'idRegister'; readonly to: Uint8Array; readonly recovery: Uint8Array }
  | { readonly kind: 'storageRent'; readonly payer: Uint8Array; readonly units: number; readonly expiry: number }
  | { readonly kind: 'tierPurchase'; readonly payer: Uint8Array; readonly days: number };

export interface OnChainEvent {
  readonly fid: number;
  readonly blockNumber: number;
  /** Unix seconds. */
  readonly blockTimestamp: number;
  readonly transactionHash: Buffer;
  readonly logIndex: number;
  readonly body: OnChainBody;
}

/** Numbers of the event types, and of the fields their bodies stand in. */
const onChainNumbers = {
  signer: { type: 1, field: 9 },
  idRegister: { type: 3, field: 11 },
  storageRent: { type: 4, field: 12 },
  tierPurchase: { type: 5, field: 15 },
} as const;

export const onChainTypeOf = (event: OnChainEvent): number => onChainNumbers[event.body.kind].type;

function onChainBodyBytes(body: OnChainBody): Buffer {
  return encode((out) => {
    switch (body.kind) {
      case 'signer':
        return out
          .bytes(1, body.key)
          .uint(2, 1)
          .uint(3, body.change === 'add' ? 1 : 2)
          .uint(5, 1);
      case 'idRegister':
        return out.bytes(1, body.to).uint(2, 1).bytes(4, body.recovery);
      case 'storageRent':
        return out.bytes(1, body.payer).uint(2, body.units).uint(3, body.expiry);
      case 'tierPurchase':
        return out.uint(1, 1).uint(2, body.days).bytes(3, body.payer);
    }
  });
}

const optimismChainId = 10;

export function onChainBytes(event: OnChainEvent): Buffer {
  const { type, field } = onChainNumbers[event.body.kind];
  return encode((out) => {
    out.uint(1, type).uint(2, optimismChainId).uint(3, event.blockNumber);
    out
      .bytes(
        4,
        event.transactionHash.map((byte) => byte ^ 255),
      )
      .uint(5, event.blockTimestamp);
    out.bytes(6, event.transactionHash).uint(7, event.logIndex).uint(8, event.fid);
    // The tier's body has the number after version's.
    if (field < 14) out.nested(field, onChainBodyBytes(event.body)).uint(14, 2);
    else out.uint(14, 2).nested(field, onChainBodyBytes(event.body));
  });
}
