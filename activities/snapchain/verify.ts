/**
 * Accounts in the tables against the node's: the living rows' trie keys make a root, and the node says which it should be.
 * Both move on meanwhile: what differs is looked at again until the tail must have caught up.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { runLeg, type Leg } from '../shared/leg';
import type { LegResult } from '../shared/contract';
import type { Ready, SnapchainDeps } from './activities';
import type { VerifyCursor, VerifyInput, VerifyVerdict } from './contract';
import type { AccountKeys } from './destination';
import { readFid } from './fid-scan';
import { MerkleTree } from './merkle';
import { refusedByNode, wantedFids } from './records';
import { accountKey, homeShardOf, virtualShardOf } from './trie-key';

const fidsAtOnce = 100;
const lookAgainMs = 1000;
const nothing: VerifyVerdict = { proved: 0, differing: 0, repaired: 0, unprovable: 0, samples: [] };

export async function verifyAccounts(deps: SnapchainDeps, input: VerifyInput): Promise<LegResult<VerifyCursor>> {
  return await runLeg<VerifyCursor>(input, async (leg) => {
    const ready = await deps.ready(leg.signal);
    try {
      return { drained: await verifyShard(ready, leg, input) };
    } catch (error) {
      throw refusedByNode(error);
    }
  });
}

async function verifyShard(ready: Ready, leg: Leg<VerifyCursor>, { lane, settings }: VerifyInput): Promise<boolean> {
  const shard = Number(lane.split(' ')[1]);
  const wanted = wantedFids(settings);
  let { afterFid, verdict } = leg.cursor ?? { afterFid: settings.fidFrom - 1, verdict: nothing };
  const isWanted = (fid: number): boolean =>
    fid > afterFid &&
    fid <= settings.fidTo &&
    (wanted?.has(fid) ?? true) &&
    homeShardOf(fid, ready.numShards) === shard &&
    isSampled(fid, settings.sample);
  const check = async (fids: readonly number[]): Promise<void> => {
    verdict = await checkFids(ready, leg, { shard, settings, fids, verdict });
    afterFid = fids.at(-1) ?? afterFid;
    leg.kept({ afterFid, verdict }, { accounts: fids.length });
  };
  // The node gives them in ascending order; which of them are known to the tables alone is told by its own roots.
  const waiting: number[] = [];
  for await (const page of ready.node.fids(shard, leg.signal)) {
    waiting.push(...page.filter(isWanted));
    while (waiting.length >= fidsAtOnce) {
      if (!leg.hasTime()) return false;
      await check(waiting.splice(0, fidsAtOnce));
    }
  }
  if (waiting.length > 0) await check(waiting);
  return true;
}

/** Spread by multiplication (Knuth): neighbours are not alike, and the same fids come every time. */
const isSampled = (fid: number, share: number): boolean =>
  share >= 1 || Math.imul(fid, 2654435761) >>> 0 < share * 2 ** 32;

interface Checked {
  readonly shard: number;
  readonly settings: VerifyInput['settings'];
  readonly fids: readonly number[];
  readonly verdict: VerifyVerdict;
}

async function checkFids(
  ready: Ready,
  leg: Leg<VerifyCursor>,
  { shard, settings, fids, verdict }: Checked,
): Promise<VerifyVerdict> {
  let { proved, differing, repaired, unprovable } = verdict;
  const samples = [...verdict.samples];
  let left = await differences(ready, leg, shard, fids);
  proved += fids.length - left.length;
  const until = performance.now() + settings.settleSeconds * 1000;
  while (left.length > 0 && performance.now() < until) {
    await sleep(lookAgainMs, undefined, { signal: leg.signal });
    leg.alive();
    const still = await differences(
      ready,
      leg,
      shard,
      left.map(({ fid }) => fid),
    );
    proved += left.length - still.length;
    left = still;
  }
  for (const { fid, reason, hasKeys } of left) {
    if (hasKeys) {
      unprovable += 1;
      continue;
    }
    if (settings.repair) {
      await readFid({ ...ready, leg, settings: { ...settings, shard } }, fid);
      if ((await differences(ready, leg, shard, [fid])).length === 0) {
        repaired += 1;
        continue;
      }
    }
    differing += 1;
    if (samples.length < settings.differencesMax) samples.push(`fid ${fid}: ${reason}`);
  }
  return { proved, differing, repaired, unprovable, samples };
}

interface Difference {
  readonly fid: number;
  readonly reason: string;
  /** The account has keys that key messages added: their leaves are in no table. */
  readonly hasKeys: boolean;
}

async function differences(
  { node, destination }: Ready,
  leg: Leg<VerifyCursor>,
  shard: number,
  fids: readonly number[],
): Promise<Difference[]> {
  const found: Difference[] = [];
  for (const account of await destination.accountKeys(fids, leg.signal)) {
    leg.alive();
    const told = await node.subtree({ shardIndex: shard, prefix: accountKey(account.fid) }, leg.signal);
    const root = rootOf(account);
    if (told === null ? account.keys.length === 0 : told.root.equals(root)) continue;
    const hasKeys = await hasKeyMessages(node, account.fid, leg.signal);
    const reason = `${account.keys.length} leaves in the tables, ${told?.numMessages ?? 0} at the node, and another root`;
    found.push({ fid: account.fid, reason, hasKeys });
  }
  return found;
}

function rootOf({ fid, keys }: AccountKeys): Buffer {
  const tree = new MerkleTree(virtualShardOf(fid));
  for (const key of keys) tree.add(key);
  tree.finish();
  return tree.takeAccounts()[0]?.root ?? Buffer.alloc(0);
}

async function hasKeyMessages(node: Ready['node'], fid: number, signal: AbortSignal): Promise<boolean> {
  for await (const signers of node.signersOf(fid, signal)) if (signers.some(({ isOnChain }) => !isOnChain)) return true;
  return false;
}
