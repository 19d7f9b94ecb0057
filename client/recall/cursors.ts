/** Where a job's wallets stand, to be told to a reading beside it. */
import type { Client } from '@temporalio/client';
import type { RecallCursor, RowPosition } from '../../activities/recall/contract';
import type { LaneState } from '../../workflows/shared/run-state';
import type { WantedJob } from '../choose';
import { lastRun, openRuns } from '../job';
import { stateOf } from '../verbs/failures';

export type Cursors = Readonly<Record<string, RecallCursor | null>>;

/** By lane, idle ones left out. What is in flight stays out: nobody who only reads needs it, and it is most of a cursor. */
export function cursorsOf(lanes: readonly Pick<LaneState<unknown>, 'lane' | 'cursor' | 'status'>[]): Cursors {
  return Object.fromEntries(
    lanes
      .filter(({ status }) => status !== 'idle')
      .map(({ lane, cursor }) => [lane, cursor === null ? null : { ...(cursor as RecallCursor), pending: [] }]),
  );
}

/** Of the open run, or else as the last one left them; none for a job that has not run, or whose run tells nothing. */
export async function knownCursors(client: Client, { description }: Pick<WantedJob, 'description'>): Promise<Cursors> {
  if (description === null) return {};
  const open = (await openRuns(client, description))[0];
  const run = open ?? lastRun(description);
  const state = run === null ? null : await stateOf(client, run.workflowId, open !== undefined);
  return cursorsOf(state?.lanes ?? []);
}

export function positionsOf(cursors: Cursors): Record<string, RowPosition | null> {
  return Object.fromEntries(Object.entries(cursors).map(([lane, cursor]) => [lane, cursor?.after ?? null]));
}

const beforeAll: RowPosition = { createdAt: '', id: '' };

/** Up to where every wallet has been: that of the one furthest behind. Null where no wallet's is known. */
export function syncedTo(cursors: Cursors): RowPosition | null {
  const positions = Object.values(cursors).map((cursor) => cursor?.after ?? beforeAll);
  return positions.sort(earlierFirst)[0] ?? null;
}

/** PostgreSQL's own texts of UTC times order as the times do. */
function earlierFirst(left: RowPosition, right: RowPosition): number {
  const [a, b] = [`${left.createdAt} ${left.id}`, `${right.createdAt} ${right.id}`];
  return a < b ? -1 : a > b ? 1 : 0;
}
