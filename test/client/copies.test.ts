/** What was copied: verified, rebased, served, trimmed; and a worker that is killed meanwhile. On a real server. */
import { existsSync, rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { recorderShow, segmentOf } from '../peers/recorder';
import { newFolder } from '../support/folders';
import { makeRecording } from '../support/recordings';
import { end, eventually } from '../support/temporal';
import { run } from './command';
import { begin, copyOf, slowRun, startWorker, syncOf, useWorld, waybill } from './harness';

const world = useWorld();

describe('what is copied', () => {
  beforeEach(async () => {
    world.recorder.shows.set('a', recorderShow(25));
    expect((await waybill(world, ...syncOf(world))).code).toBe(0);
  });

  it('is verified: equal, then behind, then drifted', async () => {
    const equal = await waybill(world, 'audio', 'verify', '-l', 'radio');
    expect(equal.stdout).toBe('a: equal\n  = 25 matched\n');
    expect(equal.code).toBe(0);
    world.recorder.shows.get('a')?.segments.push(segmentOf(26));
    expect((await waybill(world, 'audio', 'verify', '-l', 'radio')).stdout).toContain('> 1 not synced yet');
    const database = new Database(copyOf(world, 'a'));
    database.prepare('UPDATE segments SET audio_data = ? WHERE id = 12').run(Buffer.from('other'));
    database.prepare('DELETE FROM segments WHERE id = 14').run();
    database.close();
    const drifted = await waybill(world, 'audio', 'verify', '-l', 'radio');
    expect(drifted.stdout).toContain('a: DIFFERS\n  = 23 matched\n  * 1 differing\n  - 1 missing locally');
    expect(drifted.stdout).toContain('differs 12');
    expect(drifted.code).toBe(1);
  });

  it('goes on from a replaced source once that is accepted', async () => {
    world.recorder.shows.set('a', recorderShow(30, { uniqueId: 'db_Replaced0001' }));
    const refused = await waybill(world, ...syncOf(world));
    expect(refused.stdout).toContain('FAILED SourceReplaced');
    expect(refused.code).toBe(1);
    const rebased = await waybill(world, 'audio', 'rebase', '-l', 'radio', '--show', 'a');
    expect(rebased.stdout).toBe('a: goes on after 25 from db_Replaced0001, formerly db_a1B2c3D4e5F6\n');
    expect(rebased.code).toBe(0);
    expect((await waybill(world, ...syncOf(world))).stdout).toContain('a  synced to 30 (5 segments');
  });

  it('survives its worker: killed in the middle, the next one goes on', async () => {
    rmSync(copyOf(world, 'a'));
    await slowRun(world, '-n', 'show');
    await end(world.worker.child, 'SIGKILL');
    world.worker = startWorker(world);
    world.recorder.delayMs = 0;
    const { code, stdout } = await waybill(
      world,
      ...syncOf(world, '-s', '10', '-n', 'show', '--unreachable-after', '60'),
    );
    expect(stdout).toMatch(/show +synced to 400/);
    expect(code).toBe(0);
  });
});

describe('the sender’s side', () => {
  it('serves a folder until it is told to end, and retention trims it', async () => {
    const dir = newFolder('recordings');
    const old = Date.now() - 400 * 3_600_000;
    makeRecording(join(dir, 'night.sqlite'), {
      name: 'night',
      segments: 20,
      bytesPerSegment: 400,
      boundaryEvery: 5,
      startMs: old,
    });
    const serving = begin(world, 'audio', 'serve', '--dir', dir, '--port', '0', '-o', 'json');
    const url = await eventually('it says where', async () => /-r (http:\S+)/.exec(serving.stderr())?.[1]);
    expect((await waybill(world, 'audio', 'sync', '-r', url, '-l', 'radio')).stdout).toContain('night  synced to 20');
    expect(existsSync(copyOf(world, 'night'))).toBe(true);
    const dry = await waybill(world, 'audio', 'retention', '--dir', dir, '--dry-run');
    expect(dry.stdout).toBe('night  would delete 15 segments, kept from 16\n');
    expect(dry.code).toBe(0);
    const repeated = await waybill(world, 'audio', 'retention', '--dir', dir, '--interval', '3600');
    expect(repeated.stdout).toContain('now and every 1 h');
    await eventually('it has been done', async () =>
      (await waybill(world, 'audio', 'retention', '--dir', dir, '--dry-run')).stdout.includes('would delete 0'),
    );
    expect((await waybill(world, 'audio', 'retention', '--dir', dir, '--stop')).code).toBe(0);
    serving.child.kill('SIGTERM');
    expect((await serving.ended).code).toBe(0);
  });
});

it('doctor is content when everything is there', async () => {
  const { code, stdout } = await run(['doctor'], {
    env: { TEMPORAL_ADDRESS: world.server.address, WAYBILL_AUDIO_LOCAL_DIR: world.cwd },
  });
  expect(stdout).toMatch(/ok +search attributes/);
  expect(stdout).toMatch(new RegExp(`ok +worker of waybill-audio@${hostname()}`));
  expect(stdout).toMatch(/ok +audio\.local_dir .*free/);
  expect(code).toBe(0);
});
