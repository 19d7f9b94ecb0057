/** What an operator sees of a worker from outside: /healthz, /readyz, /metrics, and its log. */
import { recorderShow, startRecorder, type Recorder } from '../peers/recorder';
import { newFolder, removeFolders } from '../support/folders';
import { workerProcess, type NodeProcess } from '../support/processes';
import { eventually, startTemporal, type TemporalServer } from '../support/temporal';

const token = 'a-token-that-no-log-line-knows';
const job = 'audio/watched';

let server: TemporalServer;
let recorder: Recorder;
let worker: NodeProcess;
let url: string;
let runId: string;

interface LogLine {
  level: number;
  time: string;
  msg: string;
  [field: string]: unknown;
}
const lines = (): string[] => worker.said().split('\n').filter(Boolean);
const logged = (): LogLine[] => lines().map((line) => JSON.parse(line) as LogLine);
const get = async (path: string): Promise<{ status: number; text: string; type: string }> => {
  const response = await fetch(`${url}${path}`);
  return { status: response.status, text: await response.text(), type: response.headers.get('content-type') ?? '' };
};

beforeAll(async () => {
  server = await startTemporal();
  recorder = await startRecorder();
  worker = workerProcess(server.address, 'watched', {
    WAYBILL_WORKER_LISTEN: '127.0.0.1:0',
    WAYBILL_AUDIO_TOKEN: token,
  });
  await worker.start();
  url = logged().find(({ msg }) => msg === 'worker started')?.['health'] as string;
}, 60_000);
afterAll(async () => {
  await worker.kill();
  await recorder.stop();
  await server.stop();
  removeFolders();
});

/** One sync in which a leg also has something to log. */
beforeAll(async () => {
  recorder.shows.set('show', recorderShow(60));
  const localDir = newFolder('recv');
  const input = { remoteUrl: recorder.url, localDir, chunkSize: 10, credentials: 'env' };
  const sync = async (): Promise<string> => {
    const options = { taskQueue: 'waybill-audio@watched', workflowId: `${job}-2026-01-01T00:00:00Z`, args: [input] };
    const run = await server.client.workflow.start('audioSync', options);
    await run.result();
    return run.firstExecutionRunId;
  };
  await sync();
  const show = recorder.shows.get('show');
  if (show !== undefined) show.splitInterval = '20';
  runId = await sync();
}, 60_000);

describe('a worker', () => {
  it('is alive as soon as it listens', async () => {
    expect(await get('/healthz')).toMatchObject({ status: 200, text: 'ok\n' });
  });

  it('is ready once it polls, and says the state of every queue', async () => {
    await eventually('the worker is ready', async () => (await get('/readyz')).status === 200);
    const { text, type } = await get('/readyz');
    expect(type).toBe('application/json');
    expect(JSON.parse(text)).toEqual({
      'waybill-recall': 'RUNNING',
      'waybill-snapchain': 'RUNNING',
      'waybill-audio@watched': 'RUNNING',
    });
  });

  it('tells what else there is to ask for', async () => {
    expect(await get('/other')).toMatchObject({ status: 404, text: expect.stringContaining('/metrics') });
  });

  it('counts what its legs moved beside what Temporal counts', async () => {
    const { status, text, type } = await get('/metrics');
    expect(status).toBe(200);
    expect(type).toContain('text/plain');
    const value = (series: RegExp): number => Number(series.exec(text)?.[1]);
    expect(value(/^waybill_moved_total\{(?=.*job="audio")(?=.*kind="segments").*\} (\d+)$/m)).toBe(60);
    expect(value(/^waybill_moved_total\{(?=.*job="audio")(?=.*kind="bytes").*\} (\d+)$/m)).toBe(60 * 40);
    expect(value(/^waybill_legs_total\{(?=.*activity="copySegments").*\} (\d+)$/m)).toBe(2);
    expect(text).toMatch(/^temporal_worker_task_slots_available\{/m);
    expect(text).toMatch(/^temporal_activity_execution_latency_milliseconds_bucket\{/m);
  });
});

describe('its log', () => {
  it('is JSON, a line an event, each with its time', () => {
    for (const line of logged()) {
      expect(line).toMatchObject({ level: expect.any(Number), msg: expect.any(String) });
      expect(Date.parse(line.time)).not.toBeNaN();
    }
  });

  it('names job, run and leg in every line that a leg writes', async () => {
    const ofLegs = await eventually('the leg’s line has come', async () => {
      const found = logged().filter(({ activity }) => activity === 'copySegments');
      return found.some(({ msg }) => msg === 'show differs from its copy') && found;
    });
    for (const line of ofLegs) expect(line).toMatchObject({ job, run: expect.any(String), leg: expect.any(String) });
    expect(ofLegs.some(({ run }) => run === runId)).toBe(true);
  });

  it('knows no token', () => {
    expect(recorder.authorizations).toContain(`Bearer ${token}`);
    expect(worker.said()).not.toContain(token);
  });
});

it('told to end, it drains and ends with 0', async () => {
  expect(await worker.stop()).toBe(0);
  expect(logged().map(({ msg }) => msg)).toEqual(expect.arrayContaining(['draining', 'drained']));
});
