/**
 * The Recall network's contract facades: the parts of them that we call, in our own declaration. Machine and blobs actors have
 * fixed addresses; a bucket is its own contract. Selectors are proved against the published ones in facade.test.ts.
 */
import {
  decodeAbiParameters,
  decodeFunctionData,
  decodeFunctionResult,
  encodeFunctionData,
  parseAbi,
  prepareEncodeFunctionData,
  toEventSelector,
  toFunctionSelector,
  type Hex,
} from 'viem';
import type { BlobStatus, ChainObject, CreditAccount } from './destination';

export const machineAddress = '0xff00000000000000000000000000000000000011';
export const blobsAddress = '0xff00000000000000000000000000000000000042';

const bucketAbi = parseAbi([
  'struct KeyValue { string key; string value; }',
  'struct ObjectValue { bytes32 blobHash; bytes32 recoveryHash; uint64 size; uint64 expiry; KeyValue[] metadata; }',
  'struct ObjectState { bytes32 blobHash; uint64 size; uint64 expiry; KeyValue[] metadata; }',
  'struct KeyedObject { string key; ObjectState state; }',
  'struct Query { KeyedObject[] objects; string[] commonPrefixes; string nextKey; }',
  'function addObject(bytes32 source, string key, bytes32 hash, bytes32 recoveryHash, uint64 size, uint64 ttl, KeyValue[] metadata, bool overwrite)',
  'function getObject(string key) view returns (ObjectValue)',
  'function queryObjects(string prefix, string delimiter, string startKey, uint64 limit) view returns (Query)',
]);

const machineAbi = parseAbi([
  'struct KeyValue { string key; string value; }',
  'struct Machine { uint8 kind; address addr; KeyValue[] metadata; }',
  'function createBucket(address owner, KeyValue[] metadata) returns (address)',
  'function listBuckets(address owner) view returns (Machine[])',
]);

const blobsAbi = parseAbi([
  'struct CreditApproval { uint256 creditLimit; uint256 gasFeeLimit; uint64 expiry; uint256 creditUsed; uint256 gasFeeUsed; }',
  'struct Approval { address addr; CreditApproval approval; }',
  'struct Account { uint64 capacityUsed; uint256 creditFree; uint256 creditCommitted; address creditSponsor; uint64 lastDebitEpoch; Approval[] approvalsTo; Approval[] approvalsFrom; uint64 maxTtl; uint256 gasAllowance; }',
  'struct SubnetStats { uint256 balance; uint64 capacityFree; uint64 capacityUsed; uint256 creditSold; uint256 creditCommitted; uint256 creditDebited; uint256 tokenCreditRate; uint64 numAccounts; uint64 numBlobs; uint64 numAdded; uint64 bytesAdded; uint64 numResolving; uint64 bytesResolving; }',
  'function getAccount(address addr) view returns (Account)',
  'function approveCredit(address to, address[] caller, uint256 creditLimit, uint256 gasFeeLimit, uint64 ttl)',
  'function getStats() view returns (SubnetStats)',
]);

/** Epochs, sizes and the like: uint64 on chain, far below 2^53 in truth. */
const number = (value: bigint): number => Number(value);
const records = (pairs: readonly { key: string; value: string }[]): Record<string, string> =>
  Object.fromEntries(pairs.map(({ key, value }) => [key, value]));

export interface AddObject {
  readonly source: Hex;
  readonly key: string;
  readonly blobHash: Hex;
  readonly recoveryHash: Hex;
  /** Bytes. */
  readonly size: number;
  /** Epochs. */
  readonly ttl: number;
  readonly metadata: readonly { key: string; value: string }[];
  readonly overwrite: boolean;
}

/** With their selectors hashed once: these two are called for every object. */
const addObject = prepareEncodeFunctionData({ abi: bucketAbi, functionName: 'addObject' });
const getObject = prepareEncodeFunctionData({ abi: bucketAbi, functionName: 'getObject' });

export function encodeAddObject(call: AddObject): Hex {
  const { source, key, blobHash, recoveryHash, size, ttl, metadata, overwrite } = call;
  const args = [source, key, blobHash, recoveryHash, BigInt(size), BigInt(ttl), metadata, overwrite] as const;
  return encodeFunctionData({ ...addObject, args });
}

/** Null: calldata of something else. */
export function decodeAddObject(data: Hex): AddObject | null {
  try {
    const decoded = decodeFunctionData({ abi: bucketAbi, data });
    if (decoded.functionName !== 'addObject') return null;
    const [source, key, blobHash, recoveryHash, size, ttl, metadata, overwrite] = decoded.args;
    return { source, key, blobHash, recoveryHash, size: number(size), ttl: number(ttl), metadata, overwrite };
  } catch {
    return null;
  }
}

export const encodeGetObject = (key: string): Hex => encodeFunctionData({ ...getObject, args: [key] });

const noHash = /^0x0+$/;

/** Null: nothing live and resolved under that key. */
export function decodeGetObject(data: Hex): ChainObject | null {
  const found = decodeFunctionResult({ abi: bucketAbi, functionName: 'getObject', data });
  if (noHash.test(found.blobHash)) return null;
  const { blobHash, recoveryHash, size, expiry, metadata } = found;
  return { blobHash, recoveryHash, size: number(size), expiry: number(expiry), metadata: records(metadata) };
}

export const encodeFirstObject = (): Hex =>
  encodeFunctionData({ abi: bucketAbi, functionName: 'queryObjects', args: ['', '', '', 1n] });

export function decodeIsEmpty(data: Hex): boolean {
  const { objects, commonPrefixes } = decodeFunctionResult({ abi: bucketAbi, functionName: 'queryObjects', data });
  return objects.length === 0 && commonPrefixes.length === 0;
}

/** keccak256('ObjectAdded(bytes,bytes32,bytes)'): key, blob hash, metadata as CBOR; none of them indexed. */
export const objectAddedTopic = toEventSelector('ObjectAdded(bytes,bytes32,bytes)');

export function decodeAddedKey(data: Hex): string {
  const [key] = decodeAbiParameters([{ type: 'bytes' }, { type: 'bytes32' }, { type: 'bytes' }], data);
  return Buffer.from(key.slice(2), 'hex').toString();
}

/** A bucket bears its job's name in its metadata: on chain is where it is remembered. */
const nameKey = 'waybill-job';

export const encodeCreateBucket = (owner: string, name: string): Hex =>
  encodeFunctionData({
    abi: machineAbi,
    functionName: 'createBucket',
    args: [owner as Hex, [{ key: nameKey, value: name }]],
  });

export const encodeListBuckets = (owner: string): Hex =>
  encodeFunctionData({ abi: machineAbi, functionName: 'listBuckets', args: [owner as Hex] });

/** The first of that name; null if there is none. */
export function decodeBucketNamed(data: Hex, name: string): string | null {
  const machines = decodeFunctionResult({ abi: machineAbi, functionName: 'listBuckets', data });
  return machines.find(({ kind, metadata }) => kind === 0 && records(metadata)[nameKey] === name)?.addr ?? null;
}

/** Without limits and without an end: the delegate is ours as well. */
export const encodeApproveCredit = (to: string): Hex =>
  encodeFunctionData({ abi: blobsAbi, functionName: 'approveCredit', args: [to as Hex, [], 0n, 0n, 0n] });

export const encodeGetAccount = (address: string): Hex =>
  encodeFunctionData({ abi: blobsAbi, functionName: 'getAccount', args: [address as Hex] });

export function decodeAccount(data: Hex): Omit<CreditAccount, 'balance'> {
  const account = decodeFunctionResult({ abi: blobsAbi, functionName: 'getAccount', data });
  const { creditFree, creditCommitted, capacityUsed, maxTtl, approvalsTo } = account;
  return {
    ...{ creditFree, creditCommitted },
    capacityUsed: number(capacityUsed),
    maxTtl: number(maxTtl),
    approved: approvalsTo.map(({ addr }) => addr),
  };
}

export const encodeGetStats = (): Hex => encodeFunctionData({ abi: blobsAbi, functionName: 'getStats' });

export const decodeCapacityFree = (data: Hex): number =>
  number(decodeFunctionResult({ abi: blobsAbi, functionName: 'getStats', data }).capacityFree);

export const encodeGetBlob = (hash: string): Hex => `${toFunctionSelector('getBlob(bytes32)')}${hash.slice(2)}`;

const statuses = ['added', 'pending', 'resolved', 'failed'] as const;

/**
 * `(size, metadataHash, subscriptions[], status)`, of which the first and the last are wanted: both stand at a fixed place
 * of the tuple's head, whatever a subscription looks like. An unknown blob says failed, with no size.
 */
export function decodeBlobStatus(data: Hex): BlobStatus {
  const word = (index: number): number => Number(`0x${data.slice(2 + 64 * index, 2 + 64 * (index + 1)) || '0'}`);
  const [size, status] = [word(1), word(4)];
  return status === 3 && size === 0 ? 'unknown' : (statuses[status] ?? 'unknown');
}
