/** A run's answers to `progress`, `pause`, `resume`, `configure` and `retry`. Validators refuse before history is written. */
import { setHandler } from '@temporalio/workflow';
import type { Pace } from '../../activities/shared/contract';
import type { LegJob } from './leg-loop';
import { configureUpdate, pauseUpdate, progressQuery, resumeUpdate, retryUpdate, type Progress } from './messages';
import { enter, parseSettings, runCounts, show, type Run } from './run';
import { parkedKey } from './run-state';

export function installHandlers<C, S extends Pace>(job: LegJob<C, S>, run: Run<C, S>): void {
  const progress = (): Progress => ({ ...run.state, counts: runCounts(run.state) });
  const open = (): void => {
    if (['completed', 'cancelled'].includes(run.state.phase)) throw new Error(`the run is ${run.state.phase}`);
  };
  setHandler(progressQuery, progress, { description: 'Where the run stands: lanes, cursors, counts, parked records' });
  setHandler<Progress, [{ reason?: string } | undefined], typeof pauseUpdate>(
    pauseUpdate,
    (why) => {
      enter(run, 'paused', { reason: why?.reason ?? 'paused by hand; `resume` goes on' });
      run.interrupt();
      return progress();
    },
    {
      description: 'Stop after the batch in hand and keep the cursor. Input: {"reason": text}, or none',
      validator: () => {
        open();
        if (run.state.phase === 'blocked') throw new Error(`the run is blocked already: ${run.state.reason ?? ''}`);
      },
    },
  );
  setHandler(
    resumeUpdate,
    () => {
      const stopped = run.state.phase === 'paused' || run.state.phase === 'blocked';
      if (stopped) enter(run, run.state.planned ? 'running' : 'planning');
      return progress();
    },
    { description: 'Go on after a pause, or when what blocked the run is mended', validator: open },
  );
  setHandler(
    configureUpdate,
    (changes) => {
      run.state.settings = parseSettings(job, { ...run.state.settings, ...changes });
      // Lanes may have come or gone with the settings.
      run.state.planned = false;
      if (run.state.phase === 'running') enter(run, 'planning');
      run.interrupt();
      return progress();
    },
    {
      description: 'Change settings of the run in progress. Input: any of the workflow’s own input keys',
      validator: (changes) => {
        open();
        parseSettings(job, { ...run.state.settings, ...changes });
      },
    },
  );
  setHandler<Progress, [{ lane?: string } | undefined], typeof retryUpdate>(
    retryUpdate,
    (which) => retry(run, which?.lane, progress),
    {
      description: 'Try parked records and failed lanes again. Input: {"lane": name}, or none for all',
      validator: open,
    },
  );
}

function retry<C, S>(run: Run<C, S>, lane: string | undefined, progress: () => Progress): Progress {
  const { state } = run;
  const chosen = (name: string): boolean => lane === undefined || name === lane;
  const parked = state.parked.filter((item) => chosen(item.lane));
  state.retrying = [...new Set([...state.retrying, ...parked.map(parkedKey)])];
  for (const each of state.lanes.filter((candidate) => chosen(candidate.lane))) {
    const waiting = parked.some((item) => item.lane === each.lane);
    if (each.status === 'failed' || (each.status === 'done' && waiting)) {
      each.status = 'waiting';
      delete each.failure;
    }
  }
  show(run);
  return progress();
}
