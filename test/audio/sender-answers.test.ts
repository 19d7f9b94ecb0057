/** What a real sender, and the network before it, answers (edge cases 7 to 9, 14, 15, 18 to 21, and poison). */
import { existsSync, readdirSync } from 'node:fs';
import {
  ids,
  localDir,
  path,
  permanentFailure,
  recorder,
  retryableFailure,
  sync,
  useSyncCase,
} from '../support/sync-case';
import { recorderShow, segmentOf, sendJson } from '../peers/recorder';
import { idsOf, showContent } from '../support/show-rows';
import { audioActivities, legOf, runActivity } from '../support/activity';
import type { CopySegmentsResult, ShowCursor } from '../../activities/audio/contract';

useSyncCase();

describe('7: what the sender answers', () => {
  it('base64 is decoded, not stored as if it were audio', async () => {
    recorder.encoding = 'base64';
    await sync();
    expect(showContent(path).rows.map(({ audio_data }) => audio_data)).toEqual(
      ids(1, 40).map((id) => segmentOf(id).audio),
    );
  });

  it.each(['"hello"', '"AQ"', '[1,300]', '{"0":1}'])('audio that is %s is never stored', async (audio) => {
    recorder.rewrite = (rows) => rows.replace(/"audio_data":\[[^\]]*\]/, `"audio_data":${audio}`);
    expect(await retryableFailure(sync())).toMatch(/segment 1/);
    expect(idsOf(path)).toEqual([]);
  });

  it('a page of HTML is not taken for data', async () => {
    recorder.intercept = ({ response }) => {
      response.writeHead(200, { 'content-type': 'text/html' }).end('<html>Please log in</html>');
      return true;
    };
    expect(await permanentFailure(sync(), 'NotASender')).toMatch(/text\/html instead of JSON/);
    expect(existsSync(path)).toBe(false);
  });

  it('an error is reported in the sender’s own words and asked again', async () => {
    recorder.intercept = ({ segmentRequest, response }) => {
      if (segmentRequest !== 3) return false;
      sendJson(response, 500, { error: 'Failed to query segments: disk I/O error' });
      return true;
    };
    const first = await sync();
    expect(first).toMatchObject({
      drained: false,
      cursor: { lastId: 20 },
      note: expect.stringContaining('disk I/O error'),
    });
    expect(await sync({}, { cursor: first.cursor })).toMatchObject({ drained: true });
    expect(idsOf(path)).toEqual(ids(1, 40));
  });
});

describe('8: rows that are out of order, doubled or outside the range', () => {
  const doubled = (rows: string): string =>
    JSON.stringify((JSON.parse(rows) as unknown[]).flatMap((row, index) => (index === 2 ? [row, row] : [row])));
  const descending = (rows: string): string => JSON.stringify((JSON.parse(rows) as unknown[]).reverse());
  const beyond = (rows: string): string =>
    JSON.stringify(
      (JSON.parse(rows) as { id: number }[]).map((row, index, all) =>
        index === all.length - 1 ? { ...row, id: 99 } : row,
      ),
    );
  it.each([
    ['doubled', doubled],
    ['descending', descending],
    ['past the end', beyond],
  ])('%s: nothing of the chunk is committed', async (_, rewrite) => {
    recorder.rewrite = (rows, request) => (request === 2 ? rewrite(rows) : rows);
    expect(await sync()).toMatchObject({
      drained: false,
      cursor: { lastId: 10 },
      note: expect.stringContaining('must ascend'),
    });
    expect(idsOf(path)).toEqual(ids(1, 10));
  });
});

it('9: a body that is cut off commits nothing of its chunk and is asked for again', async () => {
  recorder.intercept = ({ segmentRequest, response }) => {
    if (segmentRequest !== 2) return false;
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': 5000 });
    response.write('[{"id":11,"timestamp_ms":1,"is_timestamp_from_source":0,"audio_data":[1,2,3]},{"id":12,"timest');
    setTimeout(() => response.destroy(), 20);
    return true;
  };
  const first = await sync();
  expect(first).toMatchObject({ drained: false, cursor: { lastId: 10 }, note: expect.stringContaining('broke off') });
  expect(idsOf(path)).toEqual(ids(1, 10));
  await sync({}, { cursor: first.cursor });
  expect(idsOf(path)).toEqual(ids(1, 40));
});

it('14: a slow answer is waited for as long as bytes come; silence ends it', async () => {
  const slowly = audioActivities({ idleTimeoutMs: 300 });
  recorder.rewrite = null;
  recorder.intercept = ({ segmentRequest, response }) => {
    if (segmentRequest !== 1) return false;
    const text = JSON.stringify([{ id: 1, timestamp_ms: 1, is_timestamp_from_source: 1, audio_data: [1, 2, 3] }]);
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': text.length });
    const pieces = text.match(/.{1,10}/g) ?? [];
    const next = (): void => {
      const piece = pieces.shift();
      if (piece === undefined) response.end();
      else response.write(piece, () => setTimeout(next, 100));
    };
    next();
    return true;
  };
  const leg = legOf('show', { remoteUrl: recorder.url, localDir });
  expect(await runActivity(slowly.copySegments, leg)).toMatchObject({ drained: true });
  recorder.intercept = ({ segmentRequest }) => segmentRequest > 0;
  recorder.shows.set('show', recorderShow(50));
  expect(await retryableFailure(runActivity(slowly.copySegments, leg))).toMatch(/silent for 0.3 s/);
});

it('15: a transaction is capped in bytes, not in rows: a chunk of large segments commits on the way', async () => {
  recorder.encoding = 'base64';
  recorder.shows.set('show', recorderShow(12, { bytes: 3 << 20 }));
  const positions: number[] = [];
  await sync(
    { chunkSize: 12 },
    {},
    { onHeartbeat: (details) => positions.push((details as CopySegmentsResult).cursor?.lastId ?? 0) },
  );
  expect(new Set(positions)).toEqual(new Set([0, 3, 6, 9, 12]));
});

it('18: the target is fixed at the start, and the report says how far the sender is now', async () => {
  recorder.intercept = ({ segmentRequest }) => {
    const show = recorder.shows.get('show');
    if (segmentRequest > 0 && show !== undefined) show.segments.push(segmentOf(show.segments.length + 1));
    return false;
  };
  const result = await sync();
  expect(result).toMatchObject({
    drained: true,
    cursor: { lastId: 40, targetId: 40 },
    note: expect.stringMatching(/sender is now at 4\d/),
  });
  expect(idsOf(path)).toEqual(ids(1, 40));
});

it('19: a chunk size of 0 or over 5000 is refused by name', () => {
  expect(() => legOf('show', { remoteUrl: recorder.url, localDir, chunkSize: 0 })).toThrow(/chunkSize/);
  expect(() => legOf('show', { remoteUrl: recorder.url, localDir, chunkSize: 5001 })).toThrow(/chunkSize/);
});

it('20: a trailing slash in the address makes no difference', async () => {
  await sync({ remoteUrl: `${recorder.url}//` });
  expect(idsOf(path)).toEqual(ids(1, 40));
});

describe('21: a sender with nothing for us', () => {
  it('an empty show is nothing to do, not a failure, and makes no file', async () => {
    recorder.shows.set('show', recorderShow(0));
    expect(await sync()).toMatchObject({ drained: true, note: 'no segments at the sender' });
    expect(readdirSync(localDir)).toEqual([]);
  });

  it('a recipient is refused', async () => {
    recorder.shows.set('show', recorderShow(5, { isRecipient: true }));
    expect(await permanentFailure(sync(), 'ShowRefused')).toContain('Cannot sync from a recipient database');
  });
});

describe('a malformed segment', () => {
  /** Attempts of one leg, each told what the last one's heartbeat said; all but the last are refused. */
  async function attempts(count: number, cursor: ShowCursor): Promise<CopySegmentsResult> {
    let told: unknown;
    const run = (attempt: number): Promise<CopySegmentsResult> =>
      sync(
        {},
        { cursor },
        { attempt, runId: 'one leg', heartbeatDetails: told, onHeartbeat: (details) => (told = details) },
      );
    for (let attempt = 1; attempt < count; attempt += 1)
      expect(await retryableFailure(run(attempt))).toContain('segment');
    return await run(count);
  }

  const poison =
    (id: number) =>
    (rows: string): string =>
      rows.replace(new RegExp(`("id":${id},[^}]*"audio_data":)\\[[^\\]]*\\]`), '$1"not audio"');

  it('is parked after three refusals, the others arrive, and a retry brings it home when it is mended', async () => {
    recorder.rewrite = poison(17);
    const cursor = (await sync()).cursor;
    expect(cursor.lastId).toBe(10);
    const result = await attempts(4, cursor);
    expect(result).toMatchObject({ drained: true, counts: { segments: 29, parked: 1 } });
    expect(result.parked).toMatchObject([{ lane: 'show', id: '17', reason: expect.stringContaining('strict base64') }]);
    expect(idsOf(path)).toEqual([...ids(1, 16), ...ids(18, 40)]);

    const again = await sync({}, { retry: result.parked });
    expect(again.parked).toMatchObject([{ id: '17', attempts: 2 }]);
    recorder.rewrite = null;
    expect(await sync({}, { retry: result.parked })).toMatchObject({ recovered: ['17'], parked: [] });
    expect(showContent(path)).toMatchObject({ holes: [] });
    expect(idsOf(path)).toEqual(ids(1, 40));
  });

  it('at the very end is stepped over for good: the next run goes on behind it', async () => {
    recorder.rewrite = poison(40);
    const { cursor } = await sync();
    const parked = await attempts(4, cursor);
    expect(parked).toMatchObject({ drained: true, cursor: { lastId: 40 } });
    recorder.shows.set('show', recorderShow(45));
    expect(await sync()).toMatchObject({ drained: true });
    expect(idsOf(path)).toEqual([...ids(1, 39), ...ids(41, 45)]);
  });

  it('is not suspected when it was the network that failed', async () => {
    recorder.intercept = ({ path: target, response }) => {
      if (!target.includes('segments')) return false;
      response.destroy();
      return true;
    };
    let told: unknown;
    for (let attempt = 1; attempt <= 5; attempt += 1) {
      await retryableFailure(
        sync({}, {}, { attempt, runId: 'one leg', heartbeatDetails: told, onHeartbeat: (details) => (told = details) }),
      );
    }
    expect(recorder.requests.some((request) => /limit=1$/.test(request))).toBe(false);
  });
});

it('a slow answer is committed as it comes, so that a pause or a crash in the middle of it loses little', async () => {
  recorder.shows.set('show', recorderShow(12, { bytes: 20_000 }));
  const positions = new Set<number>();
  await sync(
    { bandwidthLimit: 150_000, chunkSize: 100 },
    {},
    { onHeartbeat: (details) => positions.add((details as CopySegmentsResult).cursor?.lastId ?? 0) },
  );
  expect(positions.size).toBeGreaterThan(3);
  expect(idsOf(path)).toEqual(ids(1, 12));
});
