/** `sync`, against a real Temporal server, a real worker process and a sender that can be made to fail. */
import { recorderShow, sendJson } from '../peers/recorder';
import { eventually } from '../support/temporal';
import { begin, json, slowRun, statusOf, syncOf, useWorld, waybill } from './harness';

const world = useWorld();

describe('sync', () => {
  it('copies every show, reports each, and finds nothing to do the second time', async () => {
    world.recorder.shows.set('a', recorderShow(25));
    world.recorder.shows.set('b', recorderShow(12));
    const first = await waybill(world, ...syncOf(world));
    expect(first.stderr).toContain('a run begins');
    expect(first.stdout).toBe(
      'a  synced to 25 (25 segments, 1.0 kB, 0 holes)\nb  synced to 12 (12 segments, 480 B, 0 holes)\n',
    );
    expect(first.code).toBe(0);
    const second = await waybill(world, ...syncOf(world, '--fail-if-nothing'));
    expect(second.stdout).toBe('a  up to date at 25\nb  up to date at 12\n');
    expect(second.code).toBe(9);
  });

  it('is one object with -o json, and a line an event with jsonl', async () => {
    world.recorder.shows.set('a', recorderShow(25));
    const answer = json<{ outcome: string; lanes: { lane: string; position: number }[]; exitCode: number }>(
      await waybill(world, ...syncOf(world, '-o', 'json')),
    );
    expect(answer).toMatchObject({ outcome: 'completed', lanes: [{ lane: 'a', position: 25 }], exitCode: 0 });
    const { stdout } = await waybill(world, ...syncOf(world, '-o', 'jsonl'));
    const types = stdout
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { type: string }).type);
    expect(types[0]).toBe('following');
    expect(types.at(-1)).toBe('result');
  });

  it('ends with 5 when one show failed, and failures and retry know it', async () => {
    world.recorder.shows.set('a', recorderShow(25));
    const { code, stdout } = await waybill(world, ...syncOf(world, '-n', 'gone', '-n', 'a'));
    expect(stdout).toMatch(/gone +FAILED ShowGone: .*404/);
    expect(stdout).toMatch(/a +synced to 25/);
    expect(code).toBe(5);
    const failures = await waybill(world, 'audio', 'failures', '-l', 'radio', '-o', 'json');
    expect(json(failures)).toMatchObject({ failed: [{ lane: 'gone', type: 'ShowGone' }], parked: [] });
    expect(failures.code).toBe(5);
    world.recorder.shows.set('gone', recorderShow(7));
    const retried = await waybill(world, 'audio', 'retry', '-l', 'radio');
    expect(retried.stdout).toMatch(/gone +synced to 7/);
    expect(retried.code).toBe(0);
    expect((await waybill(world, 'audio', 'failures', '-l', 'radio')).code).toBe(0);
  });

  it('ends with 4 while the sender is away, and the run goes on by itself', async () => {
    world.recorder.shows.set('a', recorderShow(25));
    world.recorder.intercept = ({ response }) => {
      sendJson(response, 503, { error: 'not now' });
      return true;
    };
    const { code, stderr, stdout } = await waybill(world, ...syncOf(world, '--unreachable-after', '2'));
    expect(stdout).toMatch(/nothing moves: .*503/);
    expect(stderr).toContain('waybill audio cancel --job radio-');
    expect(code).toBe(4);
    world.recorder.intercept = null;
    const joined = await waybill(world, ...syncOf(world, '--unreachable-after', '60'));
    expect(joined.stderr).toContain('under way already');
    expect(joined.code).toBe(0);
  });

  it('ends with 3 where a person must act, and resumes what that person had changed', async () => {
    world.recorder.shows.set('a', recorderShow(25));
    const blocked = await waybill(world, ...syncOf(world, '--credentials', 'nobody'));
    expect(blocked.stdout).toContain('run BLOCKED CredentialsMissing');
    expect(blocked.code).toBe(3);
    const mended = await waybill(world, ...syncOf(world));
    expect(mended.stderr).toContain('credentials is "nobody", asked ""');
    expect(mended.stdout).toContain('a  synced to 25');
    expect(mended.code).toBe(0);
  });

  it('refuses to change the settings of a run in progress, and says how', async () => {
    await slowRun(world);
    const { code, stderr } = await waybill(world, ...syncOf(world, '-s', '20'));
    expect(stderr).toContain('chunkSize is 10, asked 20');
    expect(stderr).toContain('waybill audio configure --job radio-');
    expect(code).toBe(1);
  });

  it('lets go at Ctrl-C, and the run goes on', async () => {
    await slowRun(world);
    const following = begin(world, ...syncOf(world, '-s', '10'));
    await eventually('it follows', async () => following.stderr().includes('show '));
    following.child.kill('SIGINT');
    const { code, stderr } = await following.ended;
    expect(stderr).toContain('no longer following');
    expect(stderr).toContain('waybill audio cancel --job');
    expect(code).toBe(130);
    expect((await statusOf(world)).run?.phase).toBe('running');
  });

  it('says which queue has no worker, and ends with 4', async () => {
    world.recorder.shows.set('a', recorderShow(5));
    const { code, stderr } = await waybill(world, ...syncOf(world, '--host', 'nowhere', '--unreachable-after', '5'));
    expect(stderr).toContain(
      'no worker takes tasks of the queue waybill-audio@nowhere: start one with `waybill worker --job audio`',
    );
    expect(code).toBe(4);
    expect(await statusOf(world, '--job', (await statusOf(world)).job)).toMatchObject({
      workers: [],
      run: { phase: null },
    });
  });
});
