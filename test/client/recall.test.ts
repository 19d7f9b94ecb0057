/** Recall in words: settings, names, reports, figures. No server, no clock. */
import { recall } from '../../client/recall/command';
import { cursorsOf, positionsOf, syncedTo } from '../../client/recall/cursors';
import { creditFor, walletLine } from '../../client/recall/dry-run';
import { recallKnowledge } from '../../client/recall/knowledge';
import { rateOf, surveyLines, tokens } from '../../client/recall/status';
import { codeOf, verdictLines } from '../../client/recall/verify';
import { exit } from '../../client/exit';
import type { JobStatus } from '../../client/job-status';
import { didNothing, reportOf } from '../../client/report';
import { createViewer, progressLine } from '../../client/run-view';
import type { Snapshot } from '../../client/snapshot';
import type { Call } from '../../client/verb';
import { loadConfig } from '../../workers/config';

const wallet = `0x${'ab'.repeat(20)}`;
const at = '2026-01-31 12:00:00.123456+00';
const cursor = {
  ...{ source: 'db:5432/data.public.object_index', target: '1/0x1', scope: '', horizon: '7', sweep: null },
  ...{ after: { createdAt: at, id: 'f' }, sweptAt: '', rewalk: false, pending: [{ objects: ['secretly large'] }] },
};
const configOf = (env: Record<string, string>): Call['config'] => loadConfig({ env });
const callOf = (env: Record<string, string> = {}, more: Partial<Call> = {}): Call =>
  ({ command: 'waybill recall run', options: {}, given: {}, config: configOf(env), ...more }) as Call;
const database = { WAYBILL_RECALL_DATABASE_URL: 'postgres://me:open-sesame@db.example/my%20data' };

describe('the settings of a job', () => {
  it('have a default each, and no secret', () => {
    const env = {
      ...database,
      RECALL_PRIVATE_KEY: 'ab'.repeat(32),
      WAYBILL_RECALL_S3_SECRET_ACCESS_KEY: 'open-sesame',
    };
    const settings = recallKnowledge.settings(callOf(env));
    expect(settings).toMatchObject({ network: 'testnet', bucket: '', since: null, until: null, competitions: [] });
    expect(settings).toMatchObject({ batchSize: 500, uploads: 16, ttl: 86_400, legSeconds: 60, heartbeatSeconds: 30 });
    expect(JSON.stringify(settings)).not.toMatch(/open-sesame|abab|db\.example/);
  });

  it('are those configured, and refuse what the contract refuses, naming the origin', () => {
    const env = { WAYBILL_RECALL_SYNC_SINCE: '2026-01-31T00:00:00Z', WAYBILL_RECALL_SYNC_DATA_TYPES: 'trade,score' };
    expect(recallKnowledge.settings(callOf(env))).toMatchObject({
      since: '2026-01-31T00:00:00Z',
      dataTypes: ['trade', 'score'],
    });
    const wrong = { WAYBILL_RECALL_SYNC_AGENTS: 'x' };
    expect(() => recallKnowledge.settings(callOf(wrong))).toThrow(
      'recall.sync.agents (environment WAYBILL_RECALL_SYNC_AGENTS) is "x": a UUID',
    );
  });

  it('are changed by flags alone, those of a renewal with its margin', () => {
    const stored = recallKnowledge.settings(callOf());
    const config = configOf({ WAYBILL_RECALL_SYNC_UPLOADS: '8', WAYBILL_RECALL_SYNC_TTL: '7200' });
    const call = callOf({}, { config, given: { 'recall.sync.uploads': '8' } });
    expect(recallKnowledge.overlay(stored, call)).toEqual({ ...stored, uploads: 8 });
    const renewal = { ...stored, margin: 600 };
    expect(recallKnowledge.overlay(renewal, call)).toEqual({ ...renewal, uploads: 8 });
  });

  it('name the job by the database, without user and password, or by --job', () => {
    const nameOf = (env: Record<string, string>, options = {}): unknown =>
      recallKnowledge.settings(callOf(env, { options }))['name'];
    expect(nameOf({})).toBe('default');
    const name = nameOf(database);
    expect(name).toMatch(/^my-data-[0-9a-f]{6}$/);
    expect(recallKnowledge.defaultName(configOf(database))).toBe(name);
    expect(nameOf({ WAYBILL_RECALL_DATABASE_URL: 'postgres://other@db.example:5432/my%20data' })).toBe(name);
    expect(nameOf({ ...database, WAYBILL_RECALL_DATABASE_TABLE: 'other' })).not.toBe(name);
    expect(nameOf({ WAYBILL_RECALL_DATABASE_URL: 'postgres://db.example:5433/my%20data' })).not.toBe(name);
    expect(nameOf(database, { job: 'mine' })).toBe('mine');
    expect(nameOf(database, { job: 'recall/mine' })).toBe('mine');
    expect(() => nameOf({}, { job: 'mine/renew' })).toThrow('a name without /');
  });

  it('are of the same destination if network and bucket are', () => {
    const one = { network: 'testnet', bucket: '', uploads: 1 };
    expect(recallKnowledge.sameDestination(one, { ...one, uploads: 2 })).toBe(true);
    expect(recallKnowledge.sameDestination(one, { ...one, network: 'localnet' })).toBe(false);
    expect(recallKnowledge.sameDestination(one, { ...one, bucket: wallet })).toBe(false);
  });

  it('are one line in the UI', () => {
    expect(recallKnowledge.summary({})).toBe('every row into a bucket of its own on testnet');
    const chosen = { network: 'localnet', bucket: wallet, since: '2026-01-31T00:00:00Z', agents: ['x'], dataTypes: [] };
    expect(recallKnowledge.summary(chosen)).toBe(
      `rows since 2026-01-31T00:00:00Z, of chosen agents into bucket ${wallet} on localnet`,
    );
  });
});

const lane = (more: object = {}) => ({
  ...{ lane: `${wallet} 1/1`, cursor: cursor as unknown, status: 'done' as const },
  ...{ counts: { objects: 512, bytes: 4_200_000, present: 3 } as Record<string, number> },
  ...more,
});

describe('a run', () => {
  const subject = { job: recall, knowledge: recallKnowledge, id: 'recall/a', name: 'a', workflowId: 'recall/a-1' };
  const ended = (counts: Record<string, number>, ...lanes: object[]) => ({
    kind: 'ended' as const,
    result: { state: 'completed', lanes, parked: [], counts, lifetime: {}, startedAt: '' },
  });

  it('is reported by wallet, with the time of the last row', () => {
    const { lines, code, data } = reportOf(
      ended(
        {},
        lane(),
        lane({ lane: 'b', counts: { objects: 2, bytes: 20, renewed: 2, parked: 1 }, note: 'slow network' }),
        lane({ lane: 'c', counts: { objects: 0 } }),
        lane({ lane: 'd', status: 'waiting' }),
        lane({ lane: 'e', cursor: null, counts: {} }),
        lane({ lane: 'g', cursor: { ...cursor, after: null } }),
        lane({ lane: 'f', status: 'failed', failure: { type: 'WalletEmpty', reason: 'no tokens' } }),
      ),
      subject,
    );
    expect(lines.map((line) => line.replace(wallet, 'wallet').replace(/ {2,}/g, '  '))).toEqual([
      `wallet 1/1  synced to ${at} (512 objects, 4.2 MB, 3 already there)`,
      `b  synced to ${at} (2 objects, 20 B, 2 of them renewed, 1 parked); slow network`,
      `c  up to date at ${at}`,
      `d  stopped at ${at} (512 objects, 4.2 MB, 3 already there)`,
      'e  no rows',
      'g  done (512 objects, 4.2 MB, 3 already there)',
      'f  FAILED WalletEmpty: no tokens',
    ]);
    expect(code).toBe(exit.partial);
    const [first] = (data as { lanes: object[] }).lanes;
    expect(first).toMatchObject({ position: 512, target: null, unit: 'objects' });
  });

  it('had nothing to do if all was there already', () => {
    expect(didNothing(ended({ objects: 0, present: 40 }))).toBe(true);
    expect(didNothing(ended({ renewed: 1 }))).toBe(false);
  });

  it.each([
    ['SourceRefused', exit.configuration],
    ['WalletRefused', exit.configuration],
    ['CreditExhausted', exit.failed],
    ['ChainRewound', exit.failed],
  ])('that is blocked by %s ends with %d', (type, code) => {
    expect(reportOf({ kind: 'blocked', type, reason: 'mend it' }, subject).code).toBe(code);
  });

  it('that is a renewal is steered by the renewal’s own commands', () => {
    const { remarks } = reportOf(
      { kind: 'detached' },
      { ...subject, command: (verb) => `waybill recall ${verb} --job a/renew` },
    );
    expect(remarks.join()).toContain('waybill recall cancel --job a/renew');
  });

  it('in progress tells objects a second, legs in hand included', () => {
    const snapshot = (objects: number): Snapshot => ({
      status: 'RUNNING',
      progress: {
        phase: 'running',
        parked: [],
        lanes: [lane({ status: 'running', cursor: null, counts: {} })],
      } as never,
      pending: [],
      parts: [],
      legs: [{ ...lane({ counts: { objects, bytes: objects * 1000 } }), drained: false, parked: [], recovered: [] }],
      waiting: false,
      taskAttempt: 0,
    });
    const view = createViewer(recallKnowledge.place);
    view(snapshot(100), 0);
    expect(progressLine(view(snapshot(300), 4000), 'wallet')).toBe(
      `running, ${wallet} 1/1 300 objects, 300 kB, 50.0 kB/s, 50 objects/s`,
    );
  });
});

describe('where wallets stand', () => {
  const behind = { ...cursor, after: { createdAt: '2026-01-31 12:00:00.1+00', id: 'a' } };

  it('is told without what is in flight, and without idle lanes', () => {
    const cursors = cursorsOf([lane(), lane({ lane: 'b', cursor: null }), lane({ lane: 'old', status: 'idle' })]);
    expect(Object.keys(cursors)).toEqual([`${wallet} 1/1`, 'b']);
    expect(JSON.stringify(cursors)).not.toContain('secretly large');
    expect(positionsOf(cursors)).toEqual({ [`${wallet} 1/1`]: cursor.after, b: null });
  });

  it('is as far as the one furthest behind', () => {
    expect(syncedTo({})).toBeNull();
    expect(syncedTo(cursorsOf([lane(), lane({ lane: 'b', cursor: behind })]))).toEqual(behind.after);
    expect(syncedTo(cursorsOf([lane(), lane({ lane: 'b', cursor: null })]))).toEqual({ createdAt: '', id: '' });
  });
});

describe('a verdict', () => {
  const counts = { matched: 58, differing: 0, missing: 0, notYetSynced: 0, unproved: 0, bytesRead: 0 };
  const equal = { ...counts, samples: [] };

  it('is equal, also where something is not synced yet', () => {
    expect(verdictLines({ ...equal, notYetSynced: 2, bytesRead: 4_200_000 })).toEqual([
      'equal',
      '  = 58 matched (4.2 MB read back)',
      '  > 2 not synced yet',
    ]);
    expect(codeOf({ ...equal, notYetSynced: 2 })).toBe(exit.ok);
  });

  it('is drift where something differs or is missing', () => {
    const drift = { ...equal, differing: 1, missing: 2, unproved: 1, samples: ['missing f: the bucket has none'] };
    expect(verdictLines(drift)).toEqual([
      'DIFFERS',
      '  = 58 matched',
      '  * 1 differing',
      '  - 2 missing on the network',
      '  ? 1 there, but not to be compared with the row any more',
      '    missing f: the bucket has none',
    ]);
    expect(codeOf(drift)).toBe(exit.failed);
    expect(codeOf({ ...equal, unproved: 1 })).toBe(exit.partial);
    expect(verdictLines({ ...equal, unproved: 1 })[0]).toBe('not proved whole');
  });

  it('in the making is counted in rows', () => {
    expect(recallKnowledge.place({ afterId: 'f', verdict: { ...equal, missing: 2 } }, {})).toEqual({
      ...{ position: 60, target: null, unit: 'rows' },
    });
    expect(recallKnowledge.standing?.({ afterId: 'f', verdict: equal })).toBe('f');
    expect(recallKnowledge.standing?.(null)).toBeNull();
  });
});

describe('figures', () => {
  it('of a dry run', () => {
    expect(walletLine({ counts: { objects: 2, bytes: 3000, present: 1 }, largestBytes: 2000 })).toBe(
      '2 objects, 3.0 kB, 1 already there, the largest 2.0 kB',
    );
    expect(creditFor(5_000_000_000_000, 86_400)).toBe('432000000000000000');
  });

  it.each([
    ['0', '0'],
    ['1000000000000000000', '1'],
    ['1234567890000000000', '1.2345'],
    ['99999999999999', '0'],
    ['12345678901234567890123456789', '12345678901.2345'],
  ])('%s wei are %s tokens', (wei, shown) => expect(tokens(wei)).toBe(shown));

  const now = new Date('2026-01-31T12:03:20Z');
  const survey = {
    backlog: { rows: 40, bytes: 40_000, oldestCreatedAt: at },
    bucket: wallet,
    block: 7,
    wallets: [
      {
        ...{ address: wallet, balance: '1500000000000000000', creditFree: '1', creditCommitted: '2', maxTtl: 86_400 },
        runwayBytes: 8_640_000_000,
      },
    ],
    expiry: { sampled: 100, present: 98, missing: 2, soonestEpochs: 7500, withinMargin: 3 },
  };

  it('of a survey, with what they mean at the job’s rate', () => {
    expect(surveyLines(survey, { objectsPerSecond: 45, bytesPerSecond: 100_000 }, now)).toEqual([
      '  waiting: 40 rows, 40.0 kB, the oldest from 3 min 20 s ago; 45 objects/s, 100 kB/s',
      `  bucket: ${wallet}, at block 7`,
      `    ${wallet}  1.5 tokens for gas  credit for 8.6 GB, 1 d at this rate`,
      '  expiry: 98 of 100 sampled objects there, the first to go has 2 h 5 min left, 3 due for renewal, 2 MISSING: `waybill recall renew` brings back what expired',
    ]);
    const empty = { ...survey.backlog, rows: 0, bytes: 0, oldestCreatedAt: null };
    const nothing = { sampled: 0, present: 0, missing: 0, soonestEpochs: null, withinMargin: 0 };
    const unborn = { ...survey, backlog: empty, bucket: null, wallets: [], expiry: nothing };
    expect(surveyLines(unborn, null, now)).toEqual(['  waiting: 0 rows, 0 B', '  bucket: none yet, at block 7']);
  });

  it('of the rate: the open run’s or the last one’s, but no faster than the interval brings work', () => {
    const startedAt = '2026-01-31T12:02:40Z';
    const run = { startedAt, counts: { objects: 80, bytes: 4000 } };
    const rate = (more: object): ReturnType<typeof rateOf> =>
      rateOf({ run: null, lastRun: null, intervalSeconds: null, ...more } as JobStatus, now);
    expect(rate({ run })).toEqual({ objectsPerSecond: 2, bytesPerSecond: 100 });
    expect(rate({ run, intervalSeconds: 80 })).toEqual({ objectsPerSecond: 1, bytesPerSecond: 50 });
    const lastRun = { ...run, endedAt: '2026-01-31T12:02:50Z' };
    expect(rate({ lastRun })).toEqual({ objectsPerSecond: 8, bytesPerSecond: 400 });
    expect(rate({ lastRun: { ...lastRun, counts: { present: 9 } } })).toBeNull();
    expect(rate({})).toBeNull();
  });
});
