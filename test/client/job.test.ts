/** A job's life: started, stopped, paused, changed, cancelled, forgotten, looked at. On a real server. */
import { hostname } from 'node:os';
import { join } from 'node:path';
import { recorderShow, segmentOf } from '../peers/recorder';
import { eventually } from '../support/temporal';
import { json, slowRun, statusOf, syncOf, useWorld, waybill } from './harness';

const world = useWorld();

describe('a job', () => {
  it('runs at its interval from start to stop, and keeps its position', async () => {
    world.recorder.shows.set('a', recorderShow(5));
    const started = await waybill(world, 'audio', 'start', ...syncOf(world).slice(2), '--interval', '2');
    expect(started.stdout).toContain('every 2 s; the first run is under way');
    expect(started.code).toBe(0);
    await eventually(
      'the first run has ended',
      async () => (await statusOf(world, '-l', 'radio')).lastRun?.status === 'completed',
    );
    world.recorder.shows.get('a')?.segments.push(segmentOf(6));
    await eventually(
      'a scheduled run has brought the new segment',
      async () => (await statusOf(world, '-l', 'radio')).lastRun?.lanes[0]?.cursor?.lastId === 6,
    );
    expect(await statusOf(world, '-l', 'radio')).toMatchObject({ intervalSeconds: 2, nextAt: expect.any(String) });
    expect((await waybill(world, 'audio', 'stop', '-l', 'radio')).stdout).toContain('no longer every 2 s');
    expect(await statusOf(world, '-l', 'radio')).toMatchObject({ intervalSeconds: null, nextAt: null });
    const again = await eventually('an interval run that was in progress has ended', async () => {
      const ended = await waybill(world, ...syncOf(world));
      return ended.stderr.includes('a run begins') ? ended : null;
    });
    expect(again.stdout).toBe('a  up to date at 6\n');
  });

  it('is paused, changed, resumed and cancelled in the middle, and goes on from there', async () => {
    await slowRun(world);
    expect((await waybill(world, 'audio', 'pause', '-l', 'radio', '--reason', 'lunch')).code).toBe(0);
    const paused = await eventually('paused', async () => {
      const { run } = await statusOf(world, '-l', 'radio');
      return run?.phase === 'paused' ? run : null;
    });
    const joined = await waybill(world, ...syncOf(world, '-s', '10'));
    expect(joined.stdout).toContain('run paused: lunch');
    expect(joined.code).toBe(1);
    const changed = await waybill(world, 'audio', 'configure', '-l', 'radio', '-s', '20', '-o', 'json');
    expect(json(changed)).toMatchObject({ changed: { chunkSize: 20 } });
    world.recorder.delayMs = 400;
    expect((await waybill(world, 'audio', 'resume', '-l', 'radio')).stdout).toContain('the run goes on');
    const cancelled = await waybill(world, 'audio', 'cancel', '-l', 'radio', '-o', 'json');
    const { outcome, lanes } = json<{ outcome: string; lanes: { cursor: { lastId: number } }[] }>(cancelled);
    expect(outcome).toBe('cancelled');
    expect(cancelled.code).toBe(0);
    const stoppedAt = lanes[0]?.cursor.lastId ?? 0;
    expect(stoppedAt).toBeGreaterThanOrEqual(paused.lanes[0]?.cursor?.lastId ?? 0);
    expect(stoppedAt).toBeLessThan(400);
    world.recorder.delayMs = 0;
    const rest = await waybill(world, ...syncOf(world, '-s', '20'));
    expect(rest.stdout).toContain(`synced to 400 (${400 - stoppedAt} segments`);
    expect((await waybill(world, 'audio', 'cancel', '-l', 'radio')).code).toBe(1);
  });

  it('is forgotten by reset, but not while a run is open; the file keeps its own position', async () => {
    await slowRun(world);
    const refused = await waybill(world, 'audio', 'reset', '-l', 'radio');
    expect(refused.stderr).toContain('End it first: waybill audio cancel');
    expect(refused.code).toBe(1);
    await waybill(world, 'audio', 'cancel', '-l', 'radio');
    expect((await waybill(world, 'audio', 'reset', '-l', 'radio')).code).toBe(0);
    expect(await statusOf(world, '-l', 'radio')).toMatchObject({ lastRun: null, run: null });
    world.recorder.delayMs = 0;
    const requestsBefore = world.recorder.requests.length;
    expect((await waybill(world, ...syncOf(world, '-s', '10'))).code).toBe(0);
    expect(world.recorder.requests.slice(requestsBefore).join()).not.toContain('start_id=1&end_id=400');
  });

  it('is the only one, or has to be named', async () => {
    world.recorder.shows.set('a', recorderShow(5));
    const none = await waybill(world, 'audio', 'status');
    expect(none.stderr).toContain('There is none yet');
    expect(none.code).toBe(2);
    await waybill(world, ...syncOf(world, '--job', 'one'));
    await eventually('listed', async () => (await waybill(world, 'audio', 'status')).code === 0);
    await waybill(world, 'audio', 'sync', '-r', world.recorder.url, '-l', 'other', '--job', 'two');
    const two = await eventually('both listed', async () => {
      const ended = await waybill(world, 'audio', 'status');
      return ended.code === 2 ? ended : null;
    });
    expect(two.stderr).toContain('--job one\n  --job two');
    expect((await waybill(world, 'audio', 'status', '--job', 'two')).stdout).toContain('audio/two: runs when asked');
    expect((await waybill(world, 'status')).stdout).toMatch(/audio\/one .*completed\naudio\/two .*completed/);
    const wrong = await waybill(world, 'audio', 'status', '--job', 'three');
    expect(wrong.stderr).toContain('there is no job audio/three');
    expect(wrong.code).toBe(2);
  });

  it('shows a run that somebody started without it', async () => {
    await slowRun(world);
    const input = {
      remoteUrl: world.recorder.url,
      localDir: join(world.cwd, 'other'),
      chunkSize: 10,
      heartbeatSeconds: 2,
    };
    await world.server.client.workflow.start('audioSync', {
      workflowId: 'by-hand',
      taskQueue: `waybill-audio@${hostname()}`,
      args: [input],
    });
    await eventually('it is told', async () => (await statusOf(world, '-l', 'radio')).beside.includes('by-hand'));
  });
});
