/**
 * A batch's objects as lines that history can bear twice, and the transactions they stand for. Pure: the same plan gives the
 * same bytes on every machine, which is what makes a retry harmless.
 */
import { createHash } from 'node:crypto';
import type { Hex } from 'viem';
import { encodeAddObject } from './facade';
import type { Batch } from './steps';

/** An object that is uploaded, with all that its transaction says of it. */
export interface StagedObject {
  /** UUID. */
  readonly id: string;
  /** The key up to the id. */
  readonly folder: string;
  readonly contentType: string;
  /** Bytes. */
  readonly size: number;
  readonly blobHash: Hex;
  readonly recoveryHash: Hex;
  /** Hexadecimal, without 0x. */
  readonly sha256: string;
  /** As the store said it; null in row mode. */
  readonly etag: string | null;
}

/** Bytes of id, blob hash, recovery hash and sha256; an MD5 ETag adds 16. */
const packedBytes = 16 + 3 * 32;
const md5 = /^[0-9a-f]{32}$/;
const line = /^(\d{1,9}) (\d{1,15}) ([\w-]+)$/;

/** `<folder> <size> <base64url>`. An ETag that is no MD5 is left out: it only saves reading the object once more. */
export function packObject(object: StagedObject, folder: number): string {
  const { id, size, blobHash, recoveryHash, sha256, etag } = object;
  const hex = id.replaceAll('-', '') + blobHash.slice(2) + recoveryHash.slice(2) + sha256;
  const packed = Buffer.from(hex + (etag !== null && md5.test(etag) ? etag : ''), 'hex');
  return `${folder} ${size} ${packed.toString('base64url')}`;
}

/** Throws TypeError: a plan that was not made by `packObject`. */
export function unpackObject(packedLine: string, folders: Batch['folders']): StagedObject {
  const [, index, size, text = ''] = line.exec(packedLine) ?? [];
  const packed = Buffer.from(text, 'base64url');
  const folder = folders[Number(index)];
  if (folder === undefined || (packed.length !== packedBytes && packed.length !== packedBytes + 16))
    throw new TypeError(`${packedLine.slice(0, 40)}…: not an object of a plan`);
  const hex = packed.toString('hex');
  return {
    id: [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-'),
    folder: folder[0],
    contentType: folder[1],
    size: Number(size),
    blobHash: `0x${hex.slice(32, 96)}`,
    recoveryHash: `0x${hex.slice(96, 160)}`,
    sha256: hex.slice(160, 224),
    etag: hex.length > 224 ? hex.slice(224) : null,
  };
}

/** Calldata of `addObject` for the object at this place of the batch. */
export function addObjectCall(
  batch: Pick<Batch, 'node' | 'folders' | 'objects' | 'ttl' | 'overwrite'>,
  offset: number,
): Hex {
  const object = unpackObject(batch.objects[offset] ?? '', batch.folders);
  const { id, folder, size, blobHash, recoveryHash, contentType, sha256, etag } = object;
  const metadata = [
    { key: 'sha256', value: sha256 },
    { key: 'source-id', value: id },
    { key: 'content-type', value: contentType },
    ...(etag === null ? [] : [{ key: 'etag', value: etag }]),
  ];
  const { node, ttl, overwrite } = batch;
  return encodeAddObject({
    source: node as Hex,
    key: folder + id,
    blobHash,
    recoveryHash,
    size,
    ttl,
    metadata,
    overwrite,
  });
}

/** What a transaction adds, as far as the chain's record of it tells. */
export type AddedObject = Pick<StagedObject, 'size' | 'blobHash'> & { readonly key: string };

/** One text for what a plan adds, in the order of its nonces: what was mined under them must give the same. */
export function digestOf(objects: Iterable<AddedObject>): string {
  const hash = createHash('sha256');
  for (const { key, blobHash, size } of objects) hash.update(`${key}\n${blobHash}\n${size}\n`);
  return hash.digest('hex');
}

export function planDigest({ objects, folders }: Pick<Batch, 'objects' | 'folders'>): string {
  return digestOf(
    objects.map((each) => {
      const { id, folder, blobHash, size } = unpackObject(each, folders);
      return { key: folder + id, blobHash, size };
    }),
  );
}
