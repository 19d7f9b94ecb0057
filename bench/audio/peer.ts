/**
 * A process of its own for each thing that is measured beside the sync, so that nobody's CPU counts as another's:
 * the feed; a reader that throws away what it reads; and an inserter that has the blobs already. Driven by IPC.
 */
import * as http from 'node:http';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { openReadOnly, recipientSchema } from '../../activities/audio/show-file';
import { batchBytes } from '../../activities/audio/source';
import { startAudioFeed } from '../../servers/audio-feed';
import type { Encoding } from '../../servers/audio/encode';
import { showName } from './show';

/** What can be asked of a peer. */
export type Question =
  | { readonly serve: { readonly dir: string; readonly encoding: Encoding } }
  | { readonly read: { readonly url: string; readonly segments: number; readonly chunk: number } }
  | { readonly insert: { readonly from: string; readonly to: string; readonly chunk: number } };

export interface Cost {
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
}

async function answer(question: Question): Promise<unknown> {
  if ('serve' in question) {
    const log = { info: () => undefined, warn: () => undefined };
    return (await startAudioFeed({ ...question.serve, host: '127.0.0.1', port: 0, log })).url;
  }
  const clock = stopwatch();
  if ('read' in question) {
    await clock.during(() => readToNowhere(question.read));
  } else {
    await insertOnly(question.insert, clock);
  }
  return clock.cost();
}

interface Stopwatch {
  during(work: () => unknown): Promise<void>;
  cost(): Cost;
}

function stopwatch(): Stopwatch {
  let wallMs = 0;
  let cpuMicros = 0;
  return {
    during: async (work) => {
      const cpu = process.cpuUsage();
      const started = performance.now();
      await work();
      wallMs += performance.now() - started;
      const { user, system } = process.cpuUsage(cpu);
      cpuMicros += user + system;
    },
    cost: () => ({ wallSeconds: wallMs / 1e3, cpuSeconds: cpuMicros / 1e6 }),
  };
}

/** The requests of a sync, and nothing done with the answers: what Node's HTTP alone costs. */
async function readToNowhere({ url, segments, chunk }: Extract<Question, { read: unknown }>['read']): Promise<void> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  for (let id = 1; id <= segments; id += chunk) {
    const query = `start_id=${id}&end_id=${segments}&limit=${chunk}`;
    await new Promise<void>((resolve, reject) => {
      const request = http.get(`${url}/api/sync/shows/${showName}/segments?${query}`, { agent }, (response) => {
        if (response.statusCode !== 200) reject(new Error(`read ${query}: ${response.statusCode}`));
        response.on('data', () => undefined);
        response.once('end', resolve);
        response.once('error', reject);
      });
      request.once('error', reject);
    });
  }
  agent.destroy();
}

type Row = [number, number, number, Buffer];

/** The rows of a sync in its transactions; fetching them is not counted. Closing is: it moves the WAL into the file. */
async function insertOnly(
  { from, to, chunk }: Extract<Question, { insert: unknown }>['insert'],
  clock: Stopwatch,
): Promise<void> {
  const source = openReadOnly(from);
  const target = new Database(to);
  target.pragma('journal_mode = WAL');
  target.pragma('synchronous = FULL');
  for (const table of recipientSchema) target.exec(table);
  const rows = source.prepare<[number, number], Row>('SELECT * FROM segments WHERE id > ? ORDER BY id LIMIT ?').raw();
  const insert = target.prepare<Row>('INSERT INTO segments VALUES (?, ?, ?, ?)');
  const put = target.transaction((batch: readonly Row[]) => {
    for (const row of batch) insert.run(...row);
  });
  for (let last = 0; ;) {
    const answered = rows.all(last, chunk);
    last = answered.at(-1)?.[0] ?? last;
    if (answered.length === 0) break;
    for (const batch of batches(answered)) await clock.during(() => put.immediate(batch));
  }
  source.close();
  await clock.during(() => target.close());
}

/** As the sync commits them: up to `batchBytes`, and what an answer leaves over. */
function* batches(rows: readonly Row[]): Generator<Row[]> {
  let batch: Row[] = [];
  let bytes = 0;
  for (const row of rows) {
    batch.push(row);
    bytes += row[3].length;
    if (bytes < batchBytes) continue;
    yield batch;
    [batch, bytes] = [[], 0];
  }
  if (batch.length > 0) yield batch;
}

/** Where the parent finds a show's file. */
export const showFile = (dir: string): string => join(dir, `${showName}.sqlite`);

if (require.main === module) {
  process.once('disconnect', () => process.exit());
  process.on('message', (question: Question) => {
    answer(question).then(
      (value) => process.send?.(value),
      (error: unknown) => {
        process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
        process.exit(1);
      },
    );
  });
}
