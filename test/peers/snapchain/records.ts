/** What a shard keeps besides user messages, read from the wire: on-chain events and name proofs. */
import { Fields } from './bytes';

export interface OnChainRecord {
  readonly wire: Buffer;
  readonly fid: number;
  /** 1 signer, 3 id register, 4 storage rent, 5 tier purchase. */
  readonly type: number;
  readonly transactionHash: Buffer;
  readonly logIndex: number;
  /** Of a signer event: the key as latin1, and 1 for added, 2 for removed. */
  readonly signer?: { readonly key: string; readonly change: number };
  /** Of a storage rent. */
  readonly units: number;
}

export const onChainTypes = { signer: 1, idRegister: 3, storageRent: 4, tierPurchase: 5 } as const;

export function readOnChain(wire: Buffer): OnChainRecord {
  const fields = new Fields(wire);
  const type = fields.uint(1);
  const signer = new Fields(fields.bytes(9));
  return {
    wire: Buffer.from(wire),
    fid: fields.uint(8),
    type,
    transactionHash: Buffer.from(fields.bytes(6)),
    logIndex: fields.uint(7),
    units: new Fields(fields.bytes(12)).uint(2),
    ...(type === onChainTypes.signer
      ? { signer: { key: signer.bytes(1).toString('latin1'), change: signer.uint(3) } }
      : {}),
  };
}

export interface ProofRecord {
  readonly wire: Buffer;
  readonly fid: number;
  readonly name: string;
  /** Unix seconds. */
  readonly timestamp: number;
  readonly signature: string;
}

export function readProof(wire: Buffer): ProofRecord {
  const fields = new Fields(wire);
  return {
    wire: Buffer.from(wire),
    fid: fields.uint(5),
    name: fields.text(2),
    timestamp: fields.uint(1),
    signature: fields.bytes(4).toString('latin1'),
  };
}
