/** The bodies of user messages: which of them a type goes with, and what must be there in each. Throws plain RangeErrors. */
import { hashBytes } from './hashing';
import { messageTypes, type Body, type CastAdd, type CastId, type KeyAdd, type NameProof, type Target } from './wire';

/** A target in a message: at most one of the two, the later one on the wire. Fields absent there are null. */
interface WireTarget {
  readonly targetCast: CastId | null;
  readonly targetUrl: string | null;
}

interface WireCastAdd extends Omit<CastAdd, 'kind' | 'parent' | 'embeds'> {
  readonly parentCast: CastId | null;
  readonly parentUrl: string | null;
  readonly embeds: readonly { readonly cast: CastId | null; readonly url: string | null }[];
}

export interface WireNameProof extends Omit<NameProof, 'name'> {
  readonly name: Buffer;
}

type Wire<Kind extends Body['kind']> = Omit<Extract<Body, { kind: Kind }>, 'kind'>;

/** What a message's content is on the wire. */
export interface WireContent {
  readonly type: number;
  readonly fid: number;
  readonly timestamp: number;
  readonly network: number;
  readonly castAdd: WireCastAdd | null;
  readonly castRemove: Wire<'castRemove'> | null;
  readonly reaction: ({ readonly reactionType: number } & WireTarget) | null;
  readonly verificationAdd: Wire<'verificationAdd'> | null;
  readonly verificationRemove: Wire<'verificationRemove'> | null;
  readonly userData: Wire<'userData'> | null;
  readonly link: (Omit<Wire<'link'>, 'targetFid'> & { readonly targetFid: number | null }) | null;
  readonly usernameProof: WireNameProof | null;
  readonly frameAction: Wire<'frameAction'> | null;
  readonly linkCompactState: Wire<'linkCompactState'> | null;
  readonly lendStorage: Wire<'lendStorage'> | null;
  readonly keyAdd: (Omit<Wire<'keyAdd'>, 'ttlSeconds'> & { readonly ttl: number }) | null;
  readonly keyRemove: Wire<'keyRemove'> | null;
  readonly channelUpdate: Buffer | null;
  readonly channelMember: Buffer | null;
  readonly channelPin: Buffer | null;
  readonly channelModerate: Buffer | null;
}

/** The body that goes with the content's type. Throws for an unknown type, another type's body, and a missing key. */
export function bodyOf(content: WireContent): Body {
  const { type } = content;
  switch (type) {
    case messageTypes.castAdd:
      return castAdd(there(content.castAdd, type));
    case messageTypes.castRemove: {
      const { targetHash } = there(content.castRemove, type);
      return { kind: 'castRemove', targetHash: hashIn(targetHash, 'the removed cast') };
    }
    case messageTypes.reactionAdd:
    case messageTypes.reactionRemove: {
      const { reactionType, targetCast, targetUrl } = there(content.reaction, type);
      return { kind: 'reaction', reactionType, target: targetOf(targetCast, targetUrl, 'a reaction') };
    }
    case messageTypes.linkAdd:
    case messageTypes.linkRemove: {
      const { linkType, targetFid, displayTimestamp } = there(content.link, type);
      if (targetFid === null) throw new RangeError('a link to no fid');
      return { kind: 'link', linkType, targetFid, displayTimestamp };
    }
    case messageTypes.linkCompactState: {
      const { linkType, targetFids } = there(content.linkCompactState, type);
      return { kind: 'linkCompactState', linkType, targetFids };
    }
    case messageTypes.userDataAdd: {
      const { dataType, value } = there(content.userData, type);
      return { kind: 'userData', dataType, value };
    }
    default:
      return rarerBodyOf(content);
  }
}

function rarerBodyOf(content: WireContent): Body {
  const { type } = content;
  switch (type) {
    case messageTypes.verificationAdd: {
      const { address, claimSignature, blockHash, verificationType, chainId, protocol } = there(
        content.verificationAdd,
        type,
      );
      const claim = { address: keyIn(address, 'address'), claimSignature, blockHash };
      return { kind: 'verificationAdd', ...claim, verificationType, chainId, protocol };
    }
    case messageTypes.verificationRemove: {
      const { address, protocol } = there(content.verificationRemove, type);
      return { kind: 'verificationRemove', address: keyIn(address, 'address'), protocol };
    }
    case messageTypes.usernameProof:
      return { kind: 'usernameProof', proof: nameProofOf(there(content.usernameProof, type)) };
    case messageTypes.frameAction: {
      const { url, buttonIndex, cast, inputText, state, transactionId, address } = there(content.frameAction, type);
      return { kind: 'frameAction', url, buttonIndex, cast: castIdOf(cast), inputText, state, transactionId, address };
    }
    case messageTypes.lendStorage: {
      const { toFid, units, unitType } = there(content.lendStorage, type);
      return { kind: 'lendStorage', toFid, units, unitType };
    }
    case messageTypes.keyAdd:
      return keyAdd(there(content.keyAdd, type));
    case messageTypes.keyRemove: {
      const { key, signature, signatureType, deadline, nonce } = there(content.keyRemove, type);
      return { kind: 'keyRemove', key: keyIn(key, 'key'), signature, signatureType, deadline, nonce };
    }
    case messageTypes.channelUpdate:
      return { kind: 'channel', bytes: there(content.channelUpdate, type) };
    case messageTypes.channelMember:
      return { kind: 'channel', bytes: there(content.channelMember, type) };
    case messageTypes.channelPin:
      return { kind: 'channel', bytes: there(content.channelPin, type) };
    case messageTypes.channelModerate:
      return { kind: 'channel', bytes: there(content.channelModerate, type) };
    default:
      throw new RangeError(`type ${type} is not known: a newer network than this program?`);
  }
}

function castAdd(body: WireCastAdd): CastAdd {
  const { text, parentCast, parentUrl, mentions, mentionsPositions, embeds, embedsDeprecated, castType } = body;
  return {
    kind: 'castAdd',
    text,
    parent: parentCast === null && parentUrl === null ? null : targetOf(parentCast, parentUrl, 'a parent'),
    mentions,
    mentionsPositions,
    embeds: embeds.length === 0 ? nothing : embeds.map(({ cast, url }) => targetOf(cast, url, 'an embed')),
    embedsDeprecated,
    castType,
  };
}

const nothing: readonly never[] = [];

function keyAdd(body: Omit<KeyAdd, 'kind' | 'ttlSeconds'> & { readonly ttl: number }): KeyAdd {
  const { key, keyType, custodySignature, deadline, nonce, metadata, metadataType, registrationTxHash } = body;
  const request = { key: keyIn(key, 'key'), keyType, custodySignature, deadline, nonce, metadata, metadataType };
  return { kind: 'keyAdd', ...request, registrationTxHash, scopes: body.scopes, ttlSeconds: body.ttl };
}

/** As a value: the name is text from here on. */
export function nameProofOf({ timestamp, name, owner, signature, fid, nameType }: WireNameProof): NameProof {
  return { timestamp, name: keyIn(name, 'name').toString('utf8'), owner, signature, fid, nameType };
}

function there<T>(body: T | null, type: number): T {
  if (body === null) throw new RangeError(`of type ${type}, without the body that goes with it`);
  return body;
}

function targetOf(cast: CastId | null, url: string | null, what: string): Target {
  if (url !== null) return { url };
  if (cast === null) throw new RangeError(`${what} of neither a cast nor an address`);
  return { cast: { fid: cast.fid, hash: hashIn(cast.hash, what) } };
}

function castIdOf(cast: CastId | null): CastId | null {
  return cast === null ? null : { fid: cast.fid, hash: cast.hash };
}

function hashIn(hash: Buffer, what: string): Buffer {
  if (hash.length !== hashBytes) throw new RangeError(`the hash of ${what} has ${hash.length} bytes`);
  return hash;
}

function keyIn(bytes: Buffer, what: string): Buffer {
  if (bytes.length === 0) throw new RangeError(`without its ${what}`);
  return bytes;
}
