/**
 * Watching a run until it ends, stops, or there is nothing more to be learned by waiting. Watching changes nothing: a run
 * that nobody follows goes on just the same.
 */
import { ApplicationFailure, WorkflowFailedError, type Client } from '@temporalio/client';
import { setTimeout as sleep } from 'node:timers/promises';
import type { JobKind } from '../workflows/shared/names';
import type { RunPhase, RunResult } from '../workflows/shared/run-state';
import { isUnanswered, isUnreachable } from './connect';
import { pollersOf, workerRemedy } from './pollers';
import { lanesOf, takeSnapshot, type Snapshot } from './snapshot';

export type Outcome =
  | { readonly kind: 'ended'; readonly result: unknown }
  | { readonly kind: 'failed'; readonly type: string; readonly reason: string }
  /** Until a person acts. */
  | { readonly kind: 'blocked' | 'paused'; readonly type: string; readonly reason: string }
  /** The run goes on trying; waiting on told nothing new for too long. */
  | { readonly kind: 'unreachable'; readonly reason: string }
  | { readonly kind: 'detached' };

export interface FollowOptions {
  readonly workflowId: string;
  readonly queue: string;
  readonly kind: JobKind;
  readonly patienceMs: number;
  /** Given by Ctrl-C: stop following. */
  readonly signal: AbortSignal;
  /** False for workflows without lanes, which answer no `progress`. */
  readonly progress: boolean;
  /** False: wait through `paused` and `blocked` as well, as after a cancel. */
  readonly stopsEnd: boolean;
  readonly onSnapshot: (snapshot: Snapshot) => void;
  /** Something a person should hear once. */
  readonly onRemark: (line: string) => void;
}

const pollMsMax = 1000;
const noWorkerAfterMs = 5000;
/** Of a workflow task: a failure or two pass by themselves. */
const taskAttemptsMax = 3;

export async function followRun(client: Client, options: FollowOptions): Promise<Outcome> {
  const handle = client.workflow.getHandle(options.workflowId);
  const listening = new AbortController();
  // Tells of the end at once; what the end was is asked below. Lost contact is noticed there as well.
  let ended: Promise<unknown> = client.connection
    .withAbortSignal(listening.signal, () => handle.result())
    .catch(() => undefined)
    .then(() => {
      ended = new Promise(() => undefined);
    });
  const watch = createWatch(client, options);
  try {
    for (let pollMs = 100; !options.signal.aborted; pollMs = Math.min(pollMs * 1.5, pollMsMax)) {
      const outcome = await watch();
      if (outcome !== null) return outcome;
      await Promise.race([ended, sleep(pollMs, undefined, { signal: options.signal }).catch(() => undefined)]);
    }
    return { kind: 'detached' };
  } finally {
    listening.abort();
  }
}

/** Looks once. Null: go on. */
function createWatch(client: Client, options: FollowOptions): () => Promise<Outcome | null> {
  const { workflowId, queue, patienceMs, onRemark } = options;
  const said = new Set<string>();
  const sayOnce = (line: string): void => {
    if (!said.has(line)) onRemark(line);
    said.add(line);
  };
  const moved = since();
  const unattended = since();
  const lost = since();
  let waits = false;
  return async () => {
    let snapshot: Snapshot;
    try {
      // Nobody would answer while the run waits for a worker.
      snapshot = await takeSnapshot(client, workflowId, { progress: options.progress && !waits });
    } catch (error) {
      if (!isUnreachable(error) && !isUnanswered(error)) throw error;
      sayOnce('no answer from Temporal; the run does not need us to go on, trying again');
      return lost.longer(patienceMs, true)
        ? { kind: 'unreachable', reason: 'Temporal does not answer any more' }
        : null;
    }
    lost.longer(0, false);
    const awaited = awaitedQueue(snapshot, queue);
    waits = snapshot.waiting && awaited === queue;
    options.onSnapshot(snapshot);
    if (!['RUNNING', 'PAUSED'].includes(snapshot.status)) return await endOf(client, workflowId);
    const stopped = stoppedOutcome(snapshot);
    if (stopped !== null && options.stopsEnd) return stopped;
    const still = moved.longer(patienceMs, moved.same(signatureOf(snapshot)));
    if (unattended.longer(noWorkerAfterMs, snapshot.waiting)) {
      const line = await nobodyWorks(client, options.kind, awaited);
      sayOnce(line);
      if (unattended.longer(patienceMs, true)) return { kind: 'unreachable', reason: line };
    }
    return stuckOutcome(snapshot, still, queue, sayOnce);
  };
}

/** How long something has been so without a break. */
function since(): { longer: (ms: number, isSo: boolean) => boolean; same: (value: string) => boolean } {
  let from: number | null = null;
  let last: string | null = null;
  return {
    longer: (ms, isSo) => {
      from = isSo ? (from ?? performance.now()) : null;
      return from !== null && performance.now() - from >= ms;
    },
    same: (value) => {
      const isSame = value === last;
      last = value;
      return isSame;
    },
  };
}

function signatureOf(snapshot: Snapshot): string {
  const { progress } = snapshot;
  return JSON.stringify([
    progress?.phase,
    lanesOf(snapshot).map(({ lane, status, cursor, counts }) => [lane, status, cursor, counts]),
  ]);
}

function stoppedOutcome({ progress }: Snapshot): Outcome | null {
  const phase: RunPhase | undefined = progress?.phase;
  if (phase !== 'blocked' && phase !== 'paused') return null;
  return { kind: phase, type: progress?.blockedBy ?? '', reason: progress?.reason ?? '' };
}

/** Every try fails, and has for longer than the caller wants to wait. */
function stuckOutcome(
  { pending, taskAttempt }: Snapshot,
  still: boolean,
  queue: string,
  sayOnce: (line: string) => void,
): Outcome | null {
  for (const { type, failure } of pending)
    if (failure !== null && failure.message !== '') sayOnce(`${type} will be tried again: ${failure.message}`);
  if (!still) return null;
  if (taskAttempt > taskAttemptsMax) {
    const reason = `the workflow's own code fails (attempt ${taskAttempt}): the reason is in the log of the workers of ${queue} and in the run's history`;
    return { kind: 'unreachable', reason };
  }
  const failing = pending.filter(({ attempt, failure }) => attempt >= 2 && failure !== null);
  if (failing.length === 0 || failing.length < pending.length) return null;
  return { kind: 'unreachable', reason: failing.map(({ failure }) => failure?.message ?? '').join('; ') };
}

/** The queue of a task that waits; the run's own if that is not known. */
function awaitedQueue({ pending }: Snapshot, queue: string): string {
  return pending.find(({ waiting, queue: other }) => waiting && other !== '')?.queue ?? queue;
}

async function nobodyWorks(client: Client, kind: JobKind, queue: string): Promise<string> {
  const pollers = await pollersOf(client, queue);
  const what =
    pollers.length === 0
      ? `no worker takes tasks of the queue ${queue}`
      : `the workers of the queue ${queue} (${pollers.join(', ')}) are busy or gone`;
  return `${what}: start one with ${workerRemedy(kind, queue)}, or \`waybill dev\``;
}

async function endOf(client: Client, workflowId: string): Promise<Outcome> {
  try {
    return { kind: 'ended', result: (await client.workflow.getHandle(workflowId).result()) as unknown };
  } catch (error) {
    if (!(error instanceof WorkflowFailedError)) throw error;
    const { type, message } = innermost(error.cause ?? error);
    return { kind: 'failed', type, reason: message };
  }
}

/** "Activity task failed" says nothing; what it wraps does. */
function innermost(error: Error): { type: string; message: string } {
  if (error.name === 'ActivityFailure' && error.cause instanceof Error) return innermost(error.cause);
  return { type: error instanceof ApplicationFailure ? (error.type ?? 'Unknown') : error.name, message: error.message };
}

/** True of what the leg loop leaves. */
export function isRunResult(value: unknown): value is RunResult<unknown> {
  return typeof value === 'object' && value !== null && 'lanes' in value && 'state' in value;
}
