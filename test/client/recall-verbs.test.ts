/** The verbs of recall as typed: what they ask Temporal to do, and what they tell. The workflows are made up for it. */
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import { newFolder, removeFolders } from '../support/folders';
import { plantedWorkflows } from '../support/planted';
import { eventually, startTemporal, startWorker, type TemporalServer } from '../support/temporal';
import { run as command, type Ended } from './command';

const wallet = `0x${'ab'.repeat(20)}`;
const at = '2026-01-31 12:00:00.123456+00';
const url = 'postgres://me:open-sesame@db.example/data';

/** Each ends at once with what a real one could have left; `network` says how the survey goes. */
const workflows = `
  import { ApplicationFailure, condition, defineQuery, setHandler } from '@temporalio/workflow';
  const cursor = {
    source: 'db', target: 'chain', scope: '', horizon: '7', sweep: null, sweptAt: '', rewalk: false,
    after: { createdAt: '${at}', id: 'f' }, pending: [{ objects: ['in flight'] }],
  };
  const ended = (lane, cursor, counts) => {
    const startedAt = new Date().toISOString();
    const lanes = [{ lane, cursor, counts, status: 'done' }];
    const state = { parked: [], counts, lifetime: counts, startedAt, lanes };
    setHandler(defineQuery('progress'), () => ({ phase: 'completed', ...state }));
    return { state: 'completed', ...state };
  };
  const moved = { objects: 3, bytes: 3000, present: 1 };
  export const recallSync = async () => ended('${wallet} 1/1', cursor, moved);
  export const recallRenew = async () => ended('${wallet} 1/1', { ...cursor, after: null }, { objects: 4, bytes: 4000, renewed: 4 });
  export const recallDryRun = async () => ended('${wallet} 1/1', { after: cursor.after, largestBytes: 2000 }, moved);
  export const recallVerify = async ({ sample }) => {
    const missing = sample < 1 ? 1 : 0;
    const verdict = { matched: 5, differing: 0, missing, notYetSynced: 0, unproved: 0, bytesRead: 0, samples: [] };
    return ended('rows', { afterId: 'f', verdict }, { compared: 5 });
  };
  export async function recallSurvey({ settings }) {
    if (settings.network === 'refused') throw ApplicationFailure.nonRetryable('log in as somebody else', 'SourceRefused');
    if (settings.network === 'silent') await condition(() => false);
    return {
      backlog: { rows: 40, bytes: 40000, oldestCreatedAt: null }, bucket: '${wallet}', block: 7, wallets: [],
      expiry: { sampled: 0, present: 0, missing: 0, soonestEpochs: null, withinMargin: 0 },
    };
  }`;

let server: TemporalServer;
let worker: { stop(): Promise<void> };

beforeAll(async () => {
  server = await startTemporal();
  const workflowsPath = plantedWorkflows(workflows);
  const workflowBundle = await bundleWorkflowCode({ workflowsPath, logger: new DefaultLogger('ERROR') });
  worker = await startWorker(server, { taskQueue: 'waybill-recall', workflowBundle });
}, 120_000);
afterAll(async () => {
  await worker.stop();
  await server.stop();
  removeFolders();
});

let cwd: string;
beforeEach(() => {
  cwd = newFolder('verbs');
});
afterEach(async () => {
  for await (const { scheduleId } of server.client.schedule.list())
    await server.client.schedule.getHandle(scheduleId).delete();
  await eventually('the jobs are gone from the list', async () => {
    for await (const _ of server.client.schedule.list()) return false;
    return true;
  });
});

function recall(...args: string[]): Promise<Ended> {
  return command(['recall', ...args], { env: { TEMPORAL_ADDRESS: server.address }, cwd });
}

/** What a workflow was started with, as it stands in its history. */
async function inputOf(workflowId: string): Promise<Record<string, unknown>> {
  const { events } = await server.client.workflow.getHandle(workflowId).fetchHistory();
  const [payload] = events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads ?? [];
  return JSON.parse(Buffer.from(payload?.data ?? '').toString()) as Record<string, unknown>;
}
const json = <T>({ stdout }: Ended): T => JSON.parse(stdout) as T;

describe('run', () => {
  it('makes the job, reports each wallet, and hands over no secret', async () => {
    const first = await command(
      ['recall', 'run', '--since', '2026-01-01T00:00:00Z', '--competition', uuid(1), '-o', 'json'],
      {
        env: {
          TEMPORAL_ADDRESS: server.address,
          WAYBILL_RECALL_DATABASE_URL: url,
          RECALL_PRIVATE_KEY: 'ab'.repeat(32),
        },
        cwd,
      },
    );
    expect(first.code).toBe(0);
    const { job, run } = json<{ job: string; run: string }>(first);
    expect(job).toMatch(/^recall\/data-[0-9a-f]{6}$/);
    const input = await inputOf(run);
    expect(input).toMatchObject({ name: job.slice('recall/'.length), network: 'testnet', competitions: [uuid(1)] });
    expect(JSON.stringify(input)).not.toMatch(/open-sesame|abab|db\.example/);
    const again = await eventually('the job is listed', async () => {
      const ended = await recall('run', '--uploads', '8');
      return ended.stderr.includes(`${job}: a run begins`) && ended;
    });
    expect(again.stdout).toBe(`${wallet} 1/1  synced to ${at} (3 objects, 3.0 kB, 1 already there)\n`);
    const changed = (await server.client.schedule.getHandle(job).describe()).action.args?.[0];
    expect(changed).toMatchObject({ since: '2026-01-01T00:00:00Z', uploads: 8 });
  });

  it('--dry-run counts from where the job stands, and makes no job', async () => {
    const before = await recall('run', '--dry-run', '--job', 'a');
    expect(before.stdout).toBe(
      `${wallet} 1/1  3 objects, 3.0 kB, 1 already there, the largest 2.0 kB\n` +
        'would send 3 objects, 3.0 kB, for 259200000 byte-epochs of credit at a TTL of 86400\n',
    );
    expect(before.code).toBe(0);
    expect(await inputOf('recall/a/dry-run')).toMatchObject({ from: {} });
    expect((await recall('status', '--job', 'a')).stderr).toContain('there is no job recall/a');
    await recall('run', '--job', 'a');
    expect((await recall('run', '--dry-run', '--job', 'a')).code).toBe(0);
    expect(await inputOf('recall/a/dry-run')).toMatchObject({
      from: { [`${wallet} 1/1`]: { createdAt: at, id: 'f' } },
      name: 'a',
    });
  });
});

it('verify compares up to where the job stands, and ends with 1 on drift', async () => {
  await recall('run', '--job', 'a', '--network', 'localnet');
  const equal = await recall('verify', '--job', 'a');
  expect(equal.stdout).toBe('equal\n  = 5 matched\n');
  expect(equal.code).toBe(0);
  const drift = await recall('verify', '--job', 'a', '--sample', '0.5', '--bytes', '--differences', '3', '-o', 'json');
  expect(json(drift)).toMatchObject({ job: 'recall/a', equal: false, verdict: { missing: 1 } });
  expect(drift.code).toBe(1);
  expect(await inputOf('recall/a/verify')).toMatchObject({
    ...{ sample: 0.5, bytes: true, differencesMax: 3, network: 'localnet', name: 'a' },
    syncedTo: { createdAt: at, id: 'f' },
  });
});

describe('renew', () => {
  const renewal = (): Promise<unknown> =>
    server.client.schedule
      .getHandle('recall/a/renew')
      .describe()
      .then(({ action, spec }) => ({ ...(action.args?.[0] as object), every: spec.intervals?.[0]?.every }));

  it('is a schedule beside the job, keeps its margin, and is no job of its own', async () => {
    await recall('run', '--job', 'a', '--ttl', '7200');
    const once = await recall('renew', '--job', 'a', '--margin', '600');
    expect(once.stdout).toBe(`${wallet} 1/1  done (4 objects, 4.0 kB, 4 of them renewed)\n`);
    expect(once.code).toBe(0);
    expect(await renewal()).toMatchObject({ margin: 600, ttl: 7200, name: 'a', every: undefined });
    const repeated = await recall('renew', '--job', 'a', '--interval', '900');
    expect(repeated.stdout).toBe('recall/a/renew: now and every 15 min\n');
    expect(repeated.stderr).toContain('objects can expire in between');
    expect(await renewal()).toMatchObject({ margin: 600, every: 900_000 });
    await eventually('both are listed', async () => {
      const ids = [];
      for await (const { scheduleId } of server.client.schedule.list()) ids.push(scheduleId);
      return ids.length === 2;
    });
    expect((await recall('status')).stdout).toContain('recall/a: runs when asked');
    expect((await recall('status', '--job', 'a/renew')).stdout).toContain('recall/a/renew: every 15 min');
    const asJob = await recall('run', '--job', 'a/renew');
    expect(asJob.stderr).toContain('a name without /');
    expect(asJob.code).toBe(2);
    expect((await recall('renew', '--job', 'a', '--stop')).stdout).toBe('recall/a/renew: no longer every 15 min\n');
    expect((await recall('renew', '--job', 'a', '--stop')).code).toBe(1);
  });
});

describe('status', () => {
  it('tells of both ends, or why it cannot', async () => {
    await recall('run', '--job', 'well');
    const well = await recall('status', '--job', 'well');
    expect(well.stdout).toContain(`last run: completed`);
    expect(well.stdout).toMatch(new RegExp(`${wallet} 1/1 +done +${at.replace('+', '\\+')}`));
    expect(well.stdout).toContain('  waiting: 40 rows, 40.0 kB; 3.0 objects/s, 3.0 kB/s');
    expect(well.stdout).toContain(`  bucket: ${wallet}, at block 7`);
    expect(JSON.stringify(await inputOf('recall/well/survey'))).not.toContain('in flight');
    await recall('run', '--job', 'refused', '--network', 'refused');
    expect((await recall('status', '--job', 'refused')).stdout).toContain('no survey: log in as somebody else');
    await recall('run', '--job', 'silent', '--network', 'silent');
    const silent = await recall('status', '--job', 'silent', '-o', 'json');
    expect(json(silent)).toMatchObject({ survey: null, surveyTrouble: 'no answer within 8 seconds' });
    expect(silent.code).toBe(0);
  });
});

function uuid(number: number): string {
  return `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`;
}
