/** The page people see in the Temporal UI beside a run: what was done, where it stands, what is wrong. Markdown. */
import type { Counts } from '../../activities/shared/contract';
import type { LaneState, RunState } from './run-state';

/** Lanes listed; the `progress` query has them all. */
const lanesShownMax = 50;

export function currentDetails(run: RunState<unknown, unknown>, counts: Counts, now: Date): string {
  const seconds = Math.max(1, (now.getTime() - Date.parse(run.startedAt)) / 1000);
  const lanes = run.lanes.filter((lane) => lane.status !== 'idle');
  const withStatus = (status: string): number => lanes.filter((lane) => lane.status === status).length;
  const rate = counts['bytes'] === undefined ? '' : `, ${describeBytes(counts['bytes'] / seconds)}/s`;
  const lines = [
    `**${run.phase}**${run.reason === null ? '' : `: ${escapeMarkdown(run.reason)}`}`,
    '',
    `${describeCounts(counts)} in ${run.legCount === 1 ? 'one leg' : `${run.legCount} legs`} since ${run.startedAt}${rate}`,
    '',
    `${withStatus('done')} of ${lanes.length} done, ${withStatus('failed')} failed, ${run.parked.length} parked`,
    '',
    ...lanes.slice(0, lanesShownMax).map(laneLine),
  ];
  if (lanes.length > lanesShownMax) lines.push('', `… and ${lanes.length - lanesShownMax} more`);
  return lines.join('\n');
}

/** A list, not a table: the UI's column is narrow. */
function laneLine({ lane, status, cursor, counts, failure, note }: LaneState<unknown>): string {
  const said = failure === undefined ? note : `${failure.type}: ${failure.reason}`;
  const parts = [describeCursor(cursor), describeCounts(counts), said ?? ''].filter((part) => part !== '');
  return `- **${escapeMarkdown(lane)}** ${status}: ${escapeMarkdown(parts.join('; '))}`;
}

function describeCursor(cursor: unknown): string {
  if (typeof cursor !== 'object' || cursor === null) return '';
  return Object.entries(cursor)
    .filter(([, value]) => ['string', 'number'].includes(typeof value))
    .map(([key, value]) => `${key} ${String(value)}`)
    .join(', ');
}

function describeCounts(counts: Counts): string {
  const entries = Object.entries(counts).filter(([, value]) => value !== 0);
  if (entries.length === 0) return 'nothing yet';
  return entries.map(([key, value]) => (key === 'bytes' ? describeBytes(value) : `${value} ${key}`)).join(', ');
}

/** Decimal units. */
function describeBytes(bytes: number): string {
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(1)} kB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}

/** Lane names and reasons come from outside: they may not become a link or markup. */
function escapeMarkdown(text: string): string {
  return text.replace(/[\\|<>[\]*]/g, '\\$&').replace(/\s+/g, ' ');
}
