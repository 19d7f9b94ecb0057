/** The page people see in the Temporal UI beside a run: what was done, where it stands, what is wrong. Markdown. */
import type { Counts } from '../../activities/shared/contract';
import type { LaneState, RunState } from './run-state';

/** Rows shown; the `progress` query has them all. */
const lanesShownMax = 50;

export function currentDetails(run: RunState<unknown, unknown>, counts: Counts, now: Date): string {
  const seconds = Math.max(1, (now.getTime() - Date.parse(run.startedAt)) / 1000);
  const finished = run.lanes.filter((lane) => lane.status === 'done').length;
  const failed = run.lanes.filter((lane) => lane.status === 'failed').length;
  const lines = [
    `**${run.phase}**${run.reason === null ? '' : `: ${escapeMarkdown(run.reason)}`}`,
    '',
    `${describeCounts(counts)} in ${run.legCount} legs since ${run.startedAt}${describeRate(counts, seconds)}`,
    '',
    `${finished} of ${run.lanes.length} done, ${failed} failed, ${run.parked.length} parked`,
    '',
    '| lane | status | position | done | note |',
    '|---|---|---|---|---|',
    ...run.lanes.slice(0, lanesShownMax).map(laneRow),
  ];
  if (run.lanes.length > lanesShownMax) lines.push('', `… and ${run.lanes.length - lanesShownMax} more`);
  return lines.join('\n');
}

function laneRow(lane: LaneState<unknown>): string {
  const note = lane.failure === undefined ? (lane.note ?? '') : `${lane.failure.type}: ${lane.failure.reason}`;
  const cells = [lane.lane, lane.status, describeCursor(lane.cursor), describeCounts(lane.counts), note];
  return `| ${cells.map(escapeMarkdown).join(' | ')} |`;
}

function describeCursor(cursor: unknown): string {
  if (typeof cursor !== 'object' || cursor === null) return '-';
  return Object.entries(cursor)
    .filter(([, value]) => ['string', 'number'].includes(typeof value))
    .map(([key, value]) => `${key} ${String(value)}`)
    .join(', ');
}

function describeCounts(counts: Counts): string {
  const entries = Object.entries(counts).filter(([, value]) => value !== 0);
  return entries.length === 0 ? 'nothing yet' : entries.map(([key, value]) => `${value} ${key}`).join(', ');
}

function describeRate(counts: Counts, seconds: number): string {
  const bytes = counts['bytes'];
  return bytes === undefined ? '' : `, ${(bytes / 1e6 / seconds).toFixed(1)} MB/s`;
}

/** Lane names and reasons come from outside: they may neither break the table nor become a link. */
function escapeMarkdown(text: string): string {
  return text.replace(/[\\|<>[\]*]/g, '\\$&').replace(/\s+/g, ' ');
}
