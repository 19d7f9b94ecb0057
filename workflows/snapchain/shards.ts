/** A shard's two workflows, as lanes of the sync: started, interrupted with their cursors, started again where they stood. */
import {
  ApplicationFailure,
  CancellationScope,
  ChildWorkflowFailure,
  getExternalWorkflowHandle,
  isCancellation,
  ParentClosePolicy,
  startChild,
  workflowInfo,
} from '@temporalio/workflow';
import { WorkflowExecutionAlreadyStartedError, WorkflowIdReusePolicy } from '@temporalio/common';
import type {
  OpenedShard,
  ScanVerdict,
  ShardCursor,
  SnapchainSettings,
  TailCursor,
  TailSettings,
} from '../../activities/snapchain/contract';
import type { LegInput, LegResult } from '../../activities/shared/contract';
import { partName } from '../shared/names';
import type { RunResult } from '../shared/run-state';

/** An event's id is its block's height and 14 bits. */
const firstEventOf = (height: number): number => height * 16_384;

type ShardResult = RunResult<unknown> & { readonly verdict?: ScanVerdict };

/**
 * The live part begins at the height of a snapshot that is there now, and history reads one of that height or later: whatever
 * the scan does not see, the tail does.
 */
export function planShards(
  { history, live, fromEventId }: SnapchainSettings,
  opened: readonly OpenedShard[],
): readonly { lane: string; cursor: ShardCursor }[] {
  return opened.flatMap(({ shard, height }) => {
    const scans = history && fromEventId === null && shard > 0;
    // History by events is the tail's, up to the log's end.
    const tails = live || (history && fromEventId !== null) || shard === 0;
    const start = shard === 0 ? height : (fromEventId ?? firstEventOf(height));
    return [
      ...(scans ? [{ lane: `shard ${shard} history`, cursor: { shard, lanes: [], start: height, messages: 0 } }] : []),
      ...(tails ? [{ lane: `shard ${shard} live`, cursor: { shard, lanes: [], start, messages: 0 } }] : []),
    ];
  });
}

/** Runs a shard's scan or tail as a child. Every way out of it hands in where its lanes stood. */
export async function runShard({
  lane,
  cursor,
  settings,
}: LegInput<ShardCursor, SnapchainSettings>): Promise<LegResult<ShardCursor>> {
  if (cursor === null) throw new TypeError(`${lane} has no cursor from its plan`);
  const { shard, lanes, start } = cursor;
  const isScan = lane.endsWith('history');
  const nothing = { lane, counts: {}, parked: [], recovered: [] };
  // Scanned by an earlier run: the tail has followed it since.
  if (lanes === null) return { ...nothing, cursor, drained: true };
  const kept = (result: ShardResult): LegResult<ShardCursor> => {
    const isDone = result.state === 'completed';
    const note = result.lanes.find((each) => each.note !== undefined)?.note;
    return {
      ...nothing,
      counts: result.counts,
      cursor: {
        ...cursor,
        messages: cursor.messages + (result.counts['messages'] ?? 0),
        lanes: isDone && isScan ? null : result.lanes.map(({ lane: name, cursor: at }) => ({ lane: name, cursor: at })),
        ...(result.verdict === undefined ? {} : { verdict: result.verdict }),
      },
      drained: isDone,
      ...(note === undefined ? {} : { note }),
    };
  };
  const input = {
    ...settings,
    shard,
    isPart: true,
    ...(isScan ? { minHeight: start } : { startId: start }),
    ...(lanes.length > 0 ? { from: lanes } : {}),
  };
  try {
    const workflowId = `${workflowInfo().workflowId}/${partName(lane)}`;
    const summary = `shard ${shard}: ${isScan ? 'the newest snapshot, proved' : 'its log, as it grows'}`;
    return kept(await cancellable({ type: isScan ? 'snapchainScan' : 'snapchainTail', workflowId, summary, input }));
  } catch (error) {
    const cause = error instanceof ChildWorkflowFailure ? error.cause : undefined;
    const result = cause instanceof ApplicationFailure ? (cause.details?.[0] as ShardResult | undefined) : undefined;
    if (!(cause instanceof ApplicationFailure) || result?.lanes === undefined) throw error;
    const { message, type } = cause;
    throw ApplicationFailure.create({ message, type: type ?? 'Unknown', nonRetryable: true, details: [kept(result)] });
  }
}

interface ShardRun {
  readonly type: 'snapchainScan' | 'snapchainTail';
  readonly workflowId: string;
  /** For the UI. */
  readonly summary: string;
  readonly input: object;
}

/**
 * A child's result, also once it was told to stop. The SDK's own cancelling goes to the run that was started (1.24, seen): of a
 * tail, which goes on as new every few days, that one is long over, and nobody would hear of it.
 */
async function cancellable({ type, workflowId, summary, input }: ShardRun): Promise<ShardResult> {
  const { cancelRequested } = CancellationScope.current();
  return await CancellationScope.nonCancellable(async () => {
    const child = await startChild<(given: object) => Promise<ShardResult>>(type, {
      workflowId,
      args: [input],
      staticSummary: summary,
      parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
    });
    const result = child.result();
    try {
      return await Promise.race([result, cancelRequested]);
    } catch (error) {
      if (!isCancellation(error)) throw error;
      // Over by now, perhaps: its result is there then.
      await getExternalWorkflowHandle(workflowId)
        .cancel()
        .catch(() => undefined);
      return await result;
    }
  });
}

/** A hole in a shard's log: a scan of a snapshot beyond it, once, whatever becomes of the tail meanwhile. */
export async function scanBeyond(settings: TailSettings, gap: NonNullable<TailCursor['gap']>): Promise<void> {
  const rest = Object.fromEntries(Object.entries(settings).filter(([key]) => key !== 'startId'));
  try {
    await startChild('snapchainScan', {
      workflowId: `${workflowInfo().workflowId}/scan-${gap.to}`,
      workflowIdReusePolicy: WorkflowIdReusePolicy.REJECT_DUPLICATE,
      parentClosePolicy: ParentClosePolicy.ABANDON,
      args: [{ ...rest, legSeconds: 60, minHeight: gap.to, isPart: false }],
      staticSummary: `shard ${settings.shard}: a snapshot from block ${gap.to} on, for its log has a hole`,
    });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  }
}
