/** Blocks on the wire: a data shard's chunk with its transactions as proposed, and shard 0's block, which has none. */
import { createHash } from 'node:crypto';
import { encode } from './bytes';
import type { Block, Operation } from './shard';

const heightBytes = (shard: number, height: number): Buffer => encode((out) => out.uint(1, shard).uint(2, height));

function systemMessage(operation: Exclude<Operation, { kind: 'message' | 'revoke' }>): Buffer {
  if (operation.kind === 'onChain') return encode((out) => out.nested(1, operation.record.wire));
  const { id, fromFid, proof } = operation;
  return encode((out) =>
    out.nested(
      2,
      encode((inner) => inner.uint(1, id).uint(2, fromFid).nested(4, proof.wire)),
    ),
  );
}

function transaction(operation: Operation): Buffer | undefined {
  if (operation.kind === 'revoke') return undefined;
  if (operation.kind === 'message') {
    return encode((out) => out.uint(1, operation.message.fid).nested(2, operation.message.wire));
  }
  const fid = operation.kind === 'onChain' ? operation.record.fid : operation.proof.fid;
  return encode((out) => out.uint(1, fid).nested(3, systemMessage(operation)));
}

export function chunkBytes(shard: number, block: Block, root: Buffer): Buffer {
  const header = encode((out) =>
    out.nested(1, heightBytes(shard, block.height)).uint(2, block.timestamp).bytes(3, block.parentHash).bytes(4, root),
  );
  return encode((out) => {
    out.nested(1, header).bytes(2, block.hash);
    for (const operation of block.operations) {
      const bytes = transaction(operation);
      if (bytes) out.nested(3, bytes);
    }
    out.nested(
      4,
      encode((commits) => commits.nested(1, heightBytes(shard, block.height))),
    );
  });
}

/** A block of shard 0: header and hash. */
export function blockBytes(height: number, timestamp: number, network: number): Buffer {
  const header = encode((out) => out.nested(1, heightBytes(0, height)).uint(2, timestamp).uint(3, 13).uint(4, network));
  return encode((out) => out.nested(1, header).nested(2, createHash('sha256').update(header).digest()));
}
