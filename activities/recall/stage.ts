/**
 * One batch made ready: rows read, compared with the bucket, uploaded, and what their transactions will say. Sends none.
 *
 * What must hold: the cursor of a result is behind every row that is neither there, nor in the batch, nor parked. Rows are
 * taken in order and several at once, so what is kept is always the part up to the first that is not done; heartbeats
 * carry it, and the next attempt begins there.
 */
import { setMaxListeners } from 'node:events';
import { Context } from '@temporalio/activity';
import { addCounts, retryWaitMs, type Counts, type ParkedItem } from '../shared/contract';
import { isPermanent, reasonOf } from '../shared/failures';
import type { RecallDeps } from './activities';
import { compareRows, type Comparing } from './compare';
import type { RecallCursor, StageInput, StageResult } from './contract';
import { BatchDraft } from './batch-draft';
import { fitting } from './credit';
import { inParallel } from './parallel';
import { nextPage, openReading, type Reading } from './reading';
import type { ObjectRow } from './source';
import { Uploads, type Outcome } from './uploads';
import { watched, type Watch } from './watch';

/** Attempts that ended at the same row before the one that fails is set aside while others pass. */
const failuresMax = 3;
/** Copies of what is kept are made no more often than they are sent. */
const tellEveryMs = 1000;

interface Kept extends Omit<StageResult, 'batch' | 'drained'> {
  readonly batch: ReturnType<BatchDraft['kept']>;
}
interface Told {
  readonly kept: Kept;
  /** Attempts in a row that ended without progress. */
  readonly failures: number;
}

export async function stageObjects(deps: RecallDeps, input: StageInput): Promise<StageResult> {
  const told = Context.current().info.heartbeatDetails as Told | undefined;
  const until = performance.now() + input.budgetMs;
  return await watched(async (watch) => {
    // Each upload and query listens to it.
    setMaxListeners(0, watch.signal);
    watch.at(told);
    const reading = await openReading(deps, input, told?.kept.cursor ?? input.cursor, watch.signal);
    const stage = new Stage(input, { reading, watch, hasTime: () => performance.now() < until }, told);
    try {
      await stage.retry(input.retry);
      const drained = await stage.read();
      return await stage.result(drained);
    } catch (error) {
      if (!watch.signal.aborted && !isPermanent(error)) stage.tellFailure();
      throw error;
    }
  });
}

/** What a stage works with. */
interface Bench {
  readonly reading: Reading;
  readonly watch: Watch;
  /** Of its budget. */
  readonly hasTime: () => boolean;
}

class Stage {
  private cursor: RecallCursor;
  private counts: Counts;
  private parked: ParkedItem[];
  private recovered: string[];
  private attempts: Record<string, number>;
  private readonly draft: BatchDraft;
  private readonly reading: Reading;
  private readonly watch: Watch;
  private readonly signal: AbortSignal;
  private readonly hasTime: () => boolean;
  private readonly failures: number;
  private progressed = false;
  private toldAt = 0;

  constructor(
    private readonly input: StageInput,
    { reading, watch, hasTime }: Bench,
    told: Told | undefined,
  ) {
    this.reading = reading;
    this.watch = watch;
    this.signal = watch.signal;
    this.hasTime = hasTime;
    const { kept, failures } = told ?? { kept: null, failures: 0 };
    this.cursor = reading.cursor;
    this.counts = kept?.counts ?? {};
    this.parked = [...(kept?.parked ?? [])];
    this.recovered = [...(kept?.recovered ?? [])];
    this.attempts = { ...kept?.attempts };
    this.failures = failures;
    this.draft = new BatchDraft(reading, input.settings, kept?.batch);
    this.tell();
  }

  /** Parked rows that are due, before anything new. Those that are gone at the source are nobody's trouble any more. */
  async retry(asked: readonly ParkedItem[]): Promise<void> {
    const settled = new Set([...this.parked.map(({ id }) => id), ...this.recovered, ...Object.keys(this.attempts)]);
    const items = asked.filter(({ id }) => !settled.has(id));
    for (let from = 0; from < items.length; from += this.input.settings.batchSize) {
      const some = items.slice(from, from + this.input.settings.batchSize);
      const before = new Map(some.map((item) => [item.id, item.attempts]));
      const rows = await this.reading.source.rows([...before.keys()], false, this.signal);
      const here = new Set(rows.map(({ id }) => id));
      this.recovered.push(...[...before.keys()].filter((id) => !here.has(id)));
      await this.move(rows, { after: () => this.cursor, attempts: before });
    }
  }

  /** True when nothing is left. Ends early when the batch is full, the time spent, or a sweep begins. */
  async read(): Promise<boolean> {
    while (this.draft.room > 0 && this.hasTime()) {
      const page = await nextPage(this.reading, this.cursor, this.draft.room, this.signal);
      const moved = await this.move(page.rows, { after: page.after, attempts: new Map() });
      if (moved < page.rows.length) return false;
      if (page.end === null) continue;
      this.cursor = page.end.cursor;
      if (page.end.drained) return true;
      // The chain is not asked about rows to sweep while any are in flight: that is the workflow's to know.
      return false;
    }
    return false;
  }

  async result(drained: boolean): Promise<StageResult> {
    const batch = await this.draft.finish(this.signal);
    return { ...this.kept(), batch, drained, ...this.reading.note };
  }

  tellFailure(): void {
    const failures = this.progressed ? 1 : this.failures + 1;
    Context.current().heartbeat({ kept: this.kept(), failures } satisfies Told);
  }

  private async move(
    rows: readonly ObjectRow[],
    { after, attempts }: { after: (row: ObjectRow) => RecallCursor; attempts: ReadonlyMap<string, number> },
  ): Promise<number> {
    if (rows.length === 0) return 0;
    const comparing = this.comparing();
    const compared = await compareRows(comparing, rows);
    const uploads = new Uploads({ ...comparing, ...this.input, reading: this.reading }, rows, compared);
    const affordable = await fitting(this.reading, uploads.sizes(), {
      orNone: !this.draft.isEmpty,
      signal: this.signal,
    });
    const outcomes: (Outcome | undefined)[] = [];
    let taken = 0;
    let started = 0;
    const takeDone = (): void => {
      for (let outcome = outcomes[taken]; outcome !== undefined; outcome = outcomes[taken]) {
        const row = rows[taken] as ObjectRow;
        this.take(row, outcome, attempts.get(row.id));
        this.cursor = after(row);
        this.progressed = true;
        taken += 1;
      }
      this.alive();
    };
    const troubled: { index: number; error: unknown }[] = [];
    await inParallel(
      rows.slice(0, affordable),
      // One at least: a stage that never gets to its first row would be asked for again for ever.
      { limit: this.input.settings.uploads, signal: this.signal, until: () => started === 0 || this.hasTime() },
      async (_, index) => {
        started += 1;
        try {
          outcomes[index] = await uploads.move(index);
        } catch (error) {
          if (this.failures < failuresMax || isPermanent(error)) throw error;
          troubled.push({ index, error });
        }
        takeDone();
      },
    );
    const [first] = troubled;
    if (first !== undefined) {
      // None passes: that is no record's trouble.
      if (outcomes.every((outcome) => outcome === undefined)) throw first.error;
      for (const { index, error } of troubled) outcomes[index] = { kind: 'parked', reason: reasonOf(error) };
      takeDone();
    }
    return taken;
  }

  private take({ id }: ObjectRow, outcome: Outcome, before: number | undefined): void {
    switch (outcome.kind) {
      case 'there':
        this.counts = addCounts(this.counts, { present: 1 });
        if (before !== undefined) this.recovered.push(id);
        return;
      case 'staged':
        this.draft.add(outcome.object);
        if (outcome.renewed) this.counts = addCounts(this.counts, { renewed: 1 });
        if (before !== undefined) this.attempts[id] = before;
        return;
      case 'parked': {
        const attempts = (before ?? 0) + 1;
        const retryAt = new Date(Date.now() + retryWaitMs(attempts)).toISOString();
        this.parked.push({ lane: this.input.lane, id, reason: outcome.reason, attempts, retryAt });
      }
    }
  }

  private comparing(): Comparing {
    const { source, network, bucket, lookBackEpochs } = this.reading;
    return {
      source,
      network,
      bucket,
      lookBackEpochs,
      parallel: this.input.settings.uploads,
      signal: this.signal,
      alive: () => this.alive(),
    };
  }

  private kept(): Kept {
    const { cursor, counts, parked, recovered, attempts } = this;
    return { cursor, batch: this.draft.kept(), counts, parked, recovered, attempts };
  }

  private alive(): void {
    if (performance.now() - this.toldAt >= tellEveryMs) this.tell();
  }

  private tell(): void {
    this.toldAt = performance.now();
    const failures = this.progressed ? 0 : this.failures;
    this.watch.at({ kept: this.kept(), failures } satisfies Told);
  }
}
