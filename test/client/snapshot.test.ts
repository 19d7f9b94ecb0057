/** A run whose legs are child workflows, seen from outside while they work. On a real server, with workflows made up for it. */
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import type { WorkflowHandle } from '@temporalio/client';
import { followRun } from '../../client/follow';
import { lanesOf, takeSnapshot, type Snapshot } from '../../client/snapshot';
import { removeFolders } from '../support/folders';
import { plantedWorkflows } from '../support/planted';
import { eventually, startTemporal, startWorker, type TemporalServer } from '../support/temporal';

const taskQueue = 'waybill-recall';
const walletQueue = `waybill-recall@0x${'ab'.repeat(20)}`;

/** A run with a lane for each leg; a leg says what it has kept, or nothing, and has an activity to wait for. */
const workflows = `
  import { defineQuery, executeChild, proxyActivities, setHandler } from '@temporalio/workflow';
  const progress = defineQuery('progress');
  export async function run(legs) {
    const lanes = legs.map(({ lane }) => ({ lane, status: 'running', cursor: 'known', counts: { objects: 100 } }));
    setHandler(progress, () => ({ phase: 'running', lanes, parked: [] }));
    const start = ({ lane, queue, ...leg }) =>
      executeChild('leg', { args: [{ lane, ...leg }], workflowId: lane, ...(queue ? { taskQueue: queue } : {}) });
    await Promise.all(legs.map(start));
  }
  export async function leg({ lane, kept, activity, activityQueue }) {
    const result = { lane, cursor: 'moved', counts: { objects: kept }, drained: false, parked: [], recovered: [] };
    if (kept !== undefined) setHandler(progress, () => result);
    const options = { startToCloseTimeout: '1 minute', retry: { initialInterval: '1 minute' } };
    await proxyActivities({ ...options, ...(activityQueue ? { taskQueue: activityQueue } : {}) })[activity]();
  }`;

let release = (): void => undefined;
let released: Promise<void>;
const activities = {
  patient: () => released,
  failing: () => Promise.reject(new Error('connect ECONNREFUSED 10.0.0.1:5432')),
};

let server: TemporalServer;
let worker: { stop(): Promise<void> };
let count = 0;
let run: WorkflowHandle;

beforeAll(async () => {
  server = await startTemporal();
  const workflowBundle = await bundleWorkflowCode({
    workflowsPath: plantedWorkflows(workflows),
    logger: new DefaultLogger('ERROR'),
  });
  worker = await startWorker(server, { taskQueue, workflowBundle, activities });
}, 120_000);
afterAll(async () => {
  await worker.stop();
  await server.stop();
  removeFolders();
});
beforeEach(() => {
  released = new Promise((resolve) => (release = resolve));
});
afterEach(async () => {
  release();
  await run.terminate('test over');
});

interface PlantedLeg {
  readonly lane: string;
  readonly kept?: number;
  readonly activity: keyof typeof activities;
  readonly queue?: string;
  readonly activityQueue?: string;
}

async function begin(...legs: PlantedLeg[]): Promise<void> {
  count += 1;
  run = await server.client.workflow.start('run', { workflowId: `run-${count}`, taskQueue, args: [legs] });
}
const look = (): Promise<Snapshot> => takeSnapshot(server.client, run.workflowId, { progress: true });
const seen = (what: string, is: (snapshot: Snapshot) => boolean): Promise<Snapshot> =>
  eventually(what, async () => {
    const snapshot = await look();
    return is(snapshot) && snapshot;
  });

it('what a leg that is a workflow has kept is added to its lane', async () => {
  await begin({ lane: 'a', kept: 7, activity: 'patient' }, { lane: 'b', kept: 0, activity: 'patient' });
  const snapshot = await seen('both legs answer', ({ legs }) => legs.length === 2);
  expect(lanesOf(snapshot)).toEqual([
    { lane: 'a', status: 'running', cursor: 'moved', counts: { objects: 107 } },
    { lane: 'b', status: 'running', cursor: 'moved', counts: { objects: 100 } },
  ]);
  expect(snapshot.waiting).toBe(false);
});

it('a leg that does not know the question is left out, and its activities are seen all the same', async () => {
  await begin({ lane: 'mute', activity: 'patient' });
  const snapshot = await seen('its activity is under way', ({ pending }) => pending.length === 1);
  expect(snapshot.legs).toEqual([]);
  expect(snapshot.pending[0]).toMatchObject({ type: 'patient', queue: taskQueue, waiting: false, leg: null });
  expect(lanesOf(snapshot)).toEqual([{ lane: 'mute', status: 'running', cursor: 'known', counts: { objects: 100 } }]);
});

it('a leg whose worker is away costs a look a second, no more', async () => {
  await begin({ lane: 'away', kept: 7, activity: 'patient', queue: 'nobody' });
  await seen('the leg waits', ({ waiting }) => waiting);
  const from = performance.now();
  const { legs, progress } = await look();
  expect(performance.now() - from).toBeLessThan(1900);
  expect(legs).toEqual([]);
  expect(progress?.phase).toBe('running');
});

it('what fails in a leg is the run’s trouble', async () => {
  await begin({ lane: 'failing', kept: 0, activity: 'failing' });
  const { pending } = await seen('it has failed', ({ pending: [first] }) => first?.failure?.type !== undefined);
  expect(pending[0]).toMatchObject({ type: 'failing', failure: { message: 'connect ECONNREFUSED 10.0.0.1:5432' } });
});

it('whoever follows is told which queue has no worker, and what kind of worker that is', async () => {
  await begin({ lane: 'unsigned', kept: 0, activity: 'patient', activityQueue: walletQueue });
  const remarks: string[] = [];
  const outcome = await followRun(server.client, {
    workflowId: run.workflowId,
    queue: taskQueue,
    kind: 'recall',
    patienceMs: 1000,
    signal: new AbortController().signal,
    progress: true,
    stopsEnd: true,
    onSnapshot: () => undefined,
    onRemark: (line) => remarks.push(line),
  });
  const reason = `no worker takes tasks of the queue ${walletQueue}: start one with \`waybill worker --job recall\` that has the key of this wallet, or \`waybill dev\``;
  expect(outcome).toEqual({ kind: 'unreachable', reason });
  expect(remarks).toEqual([reason]);
});
