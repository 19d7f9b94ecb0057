/** Blocks on the wire: a data shard's chunk with its transactions as proposed, and shard 0's block, which has none. */
import { createHash } from 'node:crypto';
import { encode } from './bytes';
import { isMergedByShardZero, type SignedMessage } from './messages';
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

const mergeMessageEvent = 1;

/** What shard 0 has merged, as it comes to the others. */
function blockEvent({ wire }: SignedMessage, { height, timestamp }: Block): Buffer {
  const data = encode((out) =>
    out
      .uint(1, height)
      .uint(2, mergeMessageEvent)
      .uint(3, height)
      .uint(5, timestamp)
      .nested(
        7,
        encode((merge) => merge.nested(1, wire)),
      ),
  );
  const hash = createHash('sha256').update(data).digest();
  return encode((out) =>
    out.nested(
      3,
      encode((event) => event.bytes(1, hash).nested(2, data)),
    ),
  );
}

function transaction(operation: Operation, block: Block): Buffer | undefined {
  if (operation.kind === 'revoke') return undefined;
  if (operation.kind === 'message') {
    const { message } = operation;
    return encode((out) =>
      isMergedByShardZero(message.type)
        ? out.uint(1, message.fid).nested(3, blockEvent(message, block))
        : out.uint(1, message.fid).nested(2, message.wire),
    );
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
      const bytes = transaction(operation, block);
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
