/** What stands in a shard besides user messages, from its bytes: on-chain events, and the name server's proofs. */
import { reasonOf, RecordRefused } from '../shared/failures';
import { nameProofOf, type WireNameProof } from './message-body';
import { fidMax } from './message-data';
import { decodeAs, wireType } from './schema';
import { onChainTypes, type NameProof, type OnChainBody, type OnChainEvent } from './wire';

const wireNameProof = wireType<WireNameProof>('NameProof');
const wireTransfer = wireType<{ readonly proof: Buffer | null }>('FnameTransfer');

/** Throws RecordRefused. */
export function decodeNameProof(bytes: Buffer, where: string): NameProof {
  const proof = decodeAs(wireNameProof, bytes, where, 'a name proof');
  return checked(where, 'a name proof', () => {
    if (proof.fid > fidMax) throw new RangeError(`fid ${proof.fid} is not below 2^32`);
    return nameProofOf(proof);
  });
}

/** The proof in a transfer: all that a node keeps of it. Throws RecordRefused. */
export function decodeFnameTransfer(bytes: Buffer, where: string): NameProof {
  const { proof } = decodeAs(wireTransfer, bytes, where, 'a transfer of an fname');
  if (proof === null) throw new RecordRefused(`${where}: a transfer of an fname without a proof`);
  return decodeNameProof(proof, where);
}

type Wire<Kind extends OnChainBody['kind']> = Omit<Extract<OnChainBody, { kind: Kind }>, 'kind'>;

interface WireOnChainEvent extends Omit<OnChainEvent, 'body'> {
  readonly signer: Wire<'signer'> | null;
  readonly signerMigrated: Wire<'signerMigrated'> | null;
  readonly idRegister: Wire<'idRegister'> | null;
  readonly storageRent: Wire<'storageRent'> | null;
  readonly tierPurchase: Wire<'tierPurchase'> | null;
  readonly channelRegister: Wire<'channelRegister'> | null;
}

const wireOnChainEvent = wireType<WireOnChainEvent>('OnChainEvent');
const transactionHashBytes = 32;

/** Throws RecordRefused. */
export function decodeOnChainEvent(bytes: Buffer, where: string): OnChainEvent {
  const event = decodeAs(wireOnChainEvent, bytes, where, 'an on-chain event');
  return checked(where, `on-chain event ${event.transactionHash.toString('hex')} of fid ${event.fid}`, () => {
    const { type, fid, chainId, blockNumber, blockHash, blockTimestamp, transactionHash } = event;
    const { logIndex, txIndex, version } = event;
    if (fid > fidMax) throw new RangeError(`its fid is not below 2^32`);
    if (transactionHash.length !== transactionHashBytes)
      throw new RangeError(`its transaction's hash has ${transactionHash.length} bytes`);
    const body = onChainBodyOf(event);
    const place = { chainId, blockNumber, blockHash, blockTimestamp, transactionHash, logIndex, txIndex };
    return { type, fid, ...place, version, body };
  });
}

function onChainBodyOf(event: WireOnChainEvent): OnChainBody {
  switch (event.type) {
    case onChainTypes.signer: {
      const { key, keyType, change, metadata, metadataType } = there(event.signer, event.type);
      return { kind: 'signer', key, keyType, change, metadata, metadataType };
    }
    case onChainTypes.signerMigrated:
      return { kind: 'signerMigrated', migratedAt: there(event.signerMigrated, event.type).migratedAt };
    case onChainTypes.idRegister: {
      const { to, change, from, recoveryAddress } = there(event.idRegister, event.type);
      return { kind: 'idRegister', to, change, from, recoveryAddress };
    }
    case onChainTypes.storageRent: {
      const { payer, units, expiry } = there(event.storageRent, event.type);
      return { kind: 'storageRent', payer, units, expiry };
    }
    case onChainTypes.tierPurchase: {
      const { tierType, forDays, payer } = there(event.tierPurchase, event.type);
      return { kind: 'tierPurchase', tierType, forDays, payer };
    }
    case onChainTypes.channelRegister: {
      const { channelKey, expiry, ownerAddress, change, label } = there(event.channelRegister, event.type);
      return { kind: 'channelRegister', channelKey, expiry, ownerAddress, change, label };
    }
    default:
      throw new RangeError(`type ${event.type} is not known: a newer network than this program?`);
  }
}

function there<T>(body: T | null, type: number): T {
  if (body === null) throw new RangeError(`of type ${type}, without the body that goes with it`);
  return body;
}

function checked<T>(where: string, what: string, decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    throw new RecordRefused(`${where}: ${what}: ${reasonOf(error)}`);
  }
}
