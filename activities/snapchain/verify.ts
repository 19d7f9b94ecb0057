/**
 * Accounts in the tables against the node's: the living rows' trie keys make a root, and the node says which it should be.
 * Both move on meanwhile: what differs is looked at again until the tail must have caught up.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { runLeg, type Leg } from '../shared/leg';
import type { LegResult } from '../shared/contract';
import { proveAccount } from './account-proof';
import type { Ready, SnapchainDeps } from './activities';
import type { VerifyCursor, VerifyInput, VerifyVerdict } from './contract';
import { readFid } from './fid-scan';
import { refusedByNode, wantedFids } from './records';
import { homeShardOf } from './trie-key';

const fidsAtOnce = 100;
const lookAgainMs = 1000;
/** Blocks come every second: a log that stands still for longer is not followed. */
const stillMsMax = 4000;
const nothing: VerifyVerdict = { proved: 0, differing: 0, repaired: 0, withKeys: 0, samples: [] };

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
  const log = new Log(ready.destination, shard, leg.signal);
  const check = async (fids: readonly number[]): Promise<void> => {
    verdict = await checkFids(ready, leg, { shard, settings, fids, verdict, log });
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
  readonly log: Log;
}

/** Whether somebody brings the tables up to date: if not, what differs now will differ in a while. */
class Log {
  private height: number | null = null;
  private movedAt = performance.now();

  constructor(
    private readonly destination: Ready['destination'],
    private readonly shard: number,
    private readonly signal: AbortSignal,
  ) {}

  async moves(): Promise<boolean> {
    const height = await this.destination.liveHeight(this.shard, this.signal);
    if (height !== this.height) [this.height, this.movedAt] = [height, performance.now()];
    return performance.now() - this.movedAt < stillMsMax;
  }
}

async function checkFids(
  ready: Ready,
  leg: Leg<VerifyCursor>,
  { shard, settings, fids, verdict, log }: Checked,
): Promise<VerifyVerdict> {
  let { proved, differing, repaired, withKeys } = verdict;
  const samples = [...verdict.samples];
  /** Counts those that prove, and gives the others. */
  const look = async (which: readonly number[]): Promise<Difference[]> => {
    const found = await differences(ready, leg, shard, which);
    proved += which.length - found.differing.length;
    withKeys += found.withKeys;
    return found.differing;
  };
  let left = await look(fids);
  const until = performance.now() + settings.settleSeconds * 1000;
  while (left.length > 0 && performance.now() < until && (await log.moves())) {
    await sleep(lookAgainMs, undefined, { signal: leg.signal });
    leg.alive();
    left = await look(left.map(({ fid }) => fid));
  }
  for (const { fid, reason } of left) {
    if (settings.repair) {
      await readFid({ ...ready, leg, settings: { ...settings, shard } }, fid);
      const found = await differences(ready, leg, shard, [fid]);
      if (found.differing.length === 0) {
        repaired += 1;
        continue;
      }
    }
    differing += 1;
    if (samples.length < settings.differencesMax) samples.push(`fid ${fid}: ${reason}`);
  }
  return { proved, differing, repaired, withKeys, samples };
}

interface Difference {
  readonly fid: number;
  readonly reason: string;
}

async function differences(
  { node, destination }: Ready,
  leg: Leg<VerifyCursor>,
  shardIndex: number,
  fids: readonly number[],
): Promise<{ differing: Difference[]; withKeys: number }> {
  const differing: Difference[] = [];
  let withKeys = 0;
  const gasless = await destination.gaslessKeys(fids, leg.signal);
  for (const { fid, keys } of await destination.accountKeys(fids, leg.signal)) {
    leg.alive();
    const { isProved, hasKeyMessages, reason } = await proveAccount(node, { shardIndex, fid, keys }, leg.signal);
    const hasKeys = hasKeyMessages || gasless.has(fid);
    let differs = isProved ? null : `the tables have ${reason}`;
    if (isProved && hasKeys) differs = await keyDifference(node, fid, gasless.get(fid) ?? [], leg.signal);
    if (differs !== null) differing.push({ fid, reason: differs });
    else if (hasKeyMessages) withKeys += 1;
  }
  return { differing, withKeys };
}

/** No root covers the list of gasless keys: it is compared with the node's. */
async function keyDifference(
  node: Ready['node'],
  fid: number,
  known: readonly Buffer[],
  signal: AbortSignal,
): Promise<string | null> {
  const told = await node.gaslessKeysOf(fid, signal);
  if (told === null) return null;
  const isSame = told.length === known.length && told.every(({ key }, index) => known[index]?.equals(key));
  return isSame ? null : `the tables have gasless keys ${known.length} (node: ${told.length}, not all the same)`;
}
