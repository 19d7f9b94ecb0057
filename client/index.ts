/** What a program imports to start, watch and steer jobs. The `waybill` command is made of the same functions. */
export { connect, type Temporal } from './connect';
export { followRun, type FollowOptions, type Outcome } from './follow';
export {
  describeJob,
  ensureJob,
  lastRun,
  listJobs,
  openRuns,
  resetJob,
  startJob,
  stopJob,
  triggerJob,
  type Job,
  type RunRef,
} from './job';
export { takeSnapshot, type Snapshot } from './snapshot';
export { configureRun, pauseRun, resumeRun, retryRun } from './steering';
