/**
 * What a node tells, decoded and checked. Seconds named `timestamp` are the network's own (since 2021-01-01) on messages,
 * events and snapshots; those of the chain and of name proofs are Unix seconds, and say so. Bytes are views of the
 * answer they came in.
 */

export const messageTypes = {
  castAdd: 1,
  castRemove: 2,
  reactionAdd: 3,
  reactionRemove: 4,
  linkAdd: 5,
  linkRemove: 6,
  verificationAdd: 7,
  verificationRemove: 8,
  userDataAdd: 11,
  usernameProof: 12,
  frameAction: 13,
  linkCompactState: 14,
  lendStorage: 15,
  keyAdd: 16,
  keyRemove: 17,
  channelUpdate: 18,
  channelMember: 19,
  channelPin: 20,
  channelModerate: 21,
} as const;

/** They change an account's keys; their messages are served by no call. */
export const keyMessageTypes: readonly number[] = [messageTypes.keyAdd, messageTypes.keyRemove];

/** A user's message whose hash has been computed again from its content. Its signature has not been checked by that. */
export interface Message {
  /** 20 bytes: the message's identity everywhere. */
  readonly hash: Buffer;
  /** One of `messageTypes`. */
  readonly type: number;
  readonly fid: number;
  readonly timestamp: number;
  /** 1 mainnet, 2 testnet, 3 devnet. */
  readonly network: number;
  readonly body: Body;
  /** The very bytes the hash is over. Never encode a body again to get them: encoders differ. */
  readonly content: Buffer;
  readonly signature: Buffer;
  /** 1 is ed25519. */
  readonly signatureScheme: number;
  /** Of ed25519 the public key, 32 bytes. */
  readonly signer: Buffer;
}

export interface CastId {
  readonly fid: number;
  readonly hash: Buffer;
}

/** A cast, or the address of something outside. */
export type Target = { readonly cast: CastId } | { readonly url: string };

export interface CastAdd {
  readonly kind: 'castAdd';
  readonly text: string;
  readonly parent: Target | null;
  readonly mentions: readonly number[];
  /** Byte offsets into the text as UTF-8, one a mention. */
  readonly mentionsPositions: readonly number[];
  readonly embeds: readonly Target[];
  readonly embedsDeprecated: readonly string[];
  /** 0 a cast, 1 a long one, 2 one of up to 10,000 bytes. */
  readonly castType: number;
}

export interface CastRemove {
  readonly kind: 'castRemove';
  readonly targetHash: Buffer;
}

/** Added or removed: the message's type says which. */
export interface Reaction {
  readonly kind: 'reaction';
  /** 1 like, 2 recast. */
  readonly reactionType: number;
  readonly target: Target;
}

/** Added or removed: the message's type says which. */
export interface Link {
  readonly kind: 'link';
  readonly linkType: string;
  readonly targetFid: number;
  /** When the link was first made, if it was made anew later. */
  readonly displayTimestamp: number | null;
}

/** All links of a type that its fid has at this time: older ones to others are gone. */
export interface LinkCompactState {
  readonly kind: 'linkCompactState';
  readonly linkType: string;
  readonly targetFids: readonly number[];
}

export interface VerificationAdd {
  readonly kind: 'verificationAdd';
  readonly address: Buffer;
  readonly claimSignature: Buffer;
  readonly blockHash: Buffer;
  /** 0 an account's own key, 1 a contract. */
  readonly verificationType: number;
  readonly chainId: number;
  /** 0 Ethereum, 1 Solana. */
  readonly protocol: number;
}

export interface VerificationRemove {
  readonly kind: 'verificationRemove';
  readonly address: Buffer;
  readonly protocol: number;
}

export interface UserData {
  readonly kind: 'userData';
  /** 1 picture, 2 display name, 3 bio, 5 url, 6 username, 7 location, 8 … 13 other accounts, addresses, banner, token. */
  readonly dataType: number;
  readonly value: string;
}

/** That a name belongs to a fid: the body of a message (ENS and base names), or the name server's word (fnames). */
export interface NameProof {
  /** Unix seconds. */
  readonly timestamp: number;
  readonly name: string;
  readonly owner: Buffer;
  readonly signature: Buffer;
  /** 0: the name has been given up. */
  readonly fid: number;
  /** 1 fname, 2 ENS, 3 base name. */
  readonly nameType: number;
}

export interface FrameAction {
  readonly kind: 'frameAction';
  readonly url: Buffer;
  readonly buttonIndex: number;
  readonly cast: CastId | null;
  readonly inputText: Buffer;
  readonly state: Buffer;
  readonly transactionId: Buffer;
  readonly address: Buffer;
}

export interface LendStorage {
  readonly kind: 'lendStorage';
  readonly toFid: number;
  readonly units: number;
  /** 0 legacy, 1 of 2024, 2 of 2025. */
  readonly unitType: number;
}

export interface KeyAdd {
  readonly kind: 'keyAdd';
  readonly key: Buffer;
  readonly keyType: number;
  readonly custodySignature: Buffer;
  /** The network's seconds. */
  readonly deadline: number;
  readonly nonce: number;
  readonly metadata: Buffer;
  readonly metadataType: number;
  readonly registrationTxHash: Buffer;
  /** Message types the key may sign. */
  readonly scopes: readonly number[];
  readonly ttlSeconds: number;
}

export interface KeyRemove {
  readonly kind: 'keyRemove';
  readonly key: Buffer;
  readonly signature: Buffer;
  /** 1 by the custody address, 2 by the key itself. */
  readonly signatureType: number;
  readonly deadline: number;
  readonly nonce: number;
}

/** A key of a fid's that was added by message and not removed since. No log and no page has it. */
export interface GaslessKey {
  readonly key: Buffer;
  readonly keyType: number;
  /** Message types the key may sign. */
  readonly scopes: readonly number[];
  /** It expires when it was not used for so long. */
  readonly ttlSeconds: number;
  readonly nonce: number;
  /** The app that asked for it. */
  readonly requestFid: number;
  /** Unix seconds. */
  readonly addedAt: number;
}

/** Channel messages are known by type only: no network but the devnet has them, and their fields are not settled. */
export interface ChannelMessage {
  readonly kind: 'channel';
  readonly bytes: Buffer;
}

export type Body =
  | CastAdd
  | CastRemove
  | Reaction
  | Link
  | LinkCompactState
  | VerificationAdd
  | VerificationRemove
  | UserData
  | { readonly kind: 'usernameProof'; readonly proof: NameProof }
  | FrameAction
  | LendStorage
  | KeyAdd
  | KeyRemove
  | ChannelMessage;

export const onChainTypes = {
  signer: 1,
  signerMigrated: 2,
  idRegister: 3,
  storageRent: 4,
  tierPurchase: 5,
  channelRegister: 6,
} as const;

/** What a contract of the network logged. Append-only: nothing replaces or removes one. */
export interface OnChainEvent {
  /** One of `onChainTypes`. */
  readonly type: number;
  readonly fid: number;
  readonly chainId: number;
  readonly blockNumber: number;
  readonly blockHash: Buffer;
  /** Unix seconds. */
  readonly blockTimestamp: number;
  readonly transactionHash: Buffer;
  readonly logIndex: number;
  readonly txIndex: number;
  readonly version: number;
  readonly body: OnChainBody;
}

export type OnChainBody =
  | {
      readonly kind: 'signer';
      readonly key: Buffer;
      readonly keyType: number;
      /** 1 added, 2 removed, 3 reset by an administrator. */
      readonly change: number;
      readonly metadata: Buffer;
      readonly metadataType: number;
    }
  | { readonly kind: 'signerMigrated'; readonly migratedAt: number }
  | {
      readonly kind: 'idRegister';
      readonly to: Buffer;
      /** 1 registered, 2 transferred, 3 recovery address changed. */
      readonly change: number;
      readonly from: Buffer;
      readonly recoveryAddress: Buffer;
    }
  /** `expiry` in Unix seconds; 0 where the contract leaves it to the network. */
  | { readonly kind: 'storageRent'; readonly payer: Buffer; readonly units: number; readonly expiry: number }
  | { readonly kind: 'tierPurchase'; readonly tierType: number; readonly forDays: number; readonly payer: Buffer }
  | {
      readonly kind: 'channelRegister';
      readonly channelKey: string;
      /** Unix seconds. */
      readonly expiry: number;
      readonly ownerAddress: Buffer;
      /** 1 registered, 2 renewed, 3 transferred. */
      readonly change: number;
      readonly label: Buffer;
    };
