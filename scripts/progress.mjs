/** Progress of the set-up scripts: short lines on stderr, each with the seconds since the first of them started. */

const startedAt = Number(process.env.WAYBILL_PROGRESS_SINCE ?? Date.now());
// The scripts start one another, and one clock serves them all.
process.env.WAYBILL_PROGRESS_SINCE = String(startedAt);

export const say = (line) => console.error(`[${((Date.now() - startedAt) / 1000).toFixed(1).padStart(5)} s] ${line}`);
