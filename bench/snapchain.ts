/**
 * How fast a snapshot comes into the tables, proved: against COPY of the same rows by one client, against reading and decoding
 * alone, and against a transaction a row. All in one run; node, worker and Temporal are processes of their own.
 */
import { parseArgs } from 'node:util';
import { memoryOf, startUntil } from './measure/processes';
import { makeDatabase } from '../test/peers/database';
import { runBench } from './measure/program';
import { startTemporal } from './measure/temporal';
import { copyRates, readRate, rowRate } from './snapchain/baselines';
import { databaseServer, startNode } from './snapchain/node';
import { scanOnce, workerEnvironment, workerProgram } from './snapchain/scan';

const usage =
  'npm run bench -- snapchain [-o text|json] [--messages 1000000] [--growth 100000,1000000] (sizes; the cost of a message at each) [--workers 2]';

/** Of two shards, four stretches each. */
const legsAtOnce = 8;

interface Options {
  readonly output: string;
  readonly messages: number;
  readonly growth: readonly number[];
  /** Processes. A fleet on one machine has one a core: a process reads and decodes in one thread. */
  readonly workers: number;
}

/** Progress goes to stderr: stdout is for the figures. */
const say = (line: string): void => void process.stderr.write(`${line}\n`);
const round = (value: number): number => Math.round(value * 100) / 100;

function chosen(): Options {
  const { values } = parseArgs({
    options: {
      output: { type: 'string', short: 'o', default: 'text' },
      messages: { type: 'string', default: '1000000' },
      growth: { type: 'string', default: '100000,1000000' },
      workers: { type: 'string', default: '2' },
    },
  });
  const messages = Number(values.messages);
  const growth = values.growth === '' ? [] : values.growth.split(',').map(Number);
  const sizes = [messages, ...growth];
  if (!['text', 'json'].includes(values.output) || !sizes.every((size) => Number.isInteger(size) && size >= 1000))
    throw new Error(`output is text or json, sizes are whole numbers from 1000 on. ${usage}`);
  const workers = Number(values.workers);
  if (!Number.isInteger(workers) || workers < 1) throw new Error(`workers: a whole number from 1 on. ${usage}`);
  return { output: values.output, messages, growth, workers };
}

async function measure(dir: string, { messages, growth, workers: count }: Options): Promise<Record<string, number>> {
  const temporal = await startTemporal(dir);
  let peakMiB = 0;
  const scanned = async (
    size: number,
  ): Promise<{
    perSecond: number;
    eventsPerVirtualShard: number;
    close: () => Promise<void>;
    address: string;
    url: string;
  }> => {
    const [node, database] = await Promise.all([startNode(dir, size), makeDatabase(databaseServer, 'bench')]);
    const started = Array.from({ length: count }, () =>
      startUntil(
        '"RUNNING"',
        [process.execPath, workerProgram],
        workerEnvironment(temporal, { node: node.address, url: database.url, slots: Math.ceil(legsAtOnce / count) }),
      ),
    );
    const workers = await Promise.all(started);
    const run = await scanOnce(temporal.client, node.shards);
    peakMiB = Math.max(peakMiB, ...workers.map(({ pid }) => memoryOf(pid).peakMiB));
    await Promise.all(workers.map((worker) => worker.stop()));
    if (run.messages !== size || run.unproved > 0 || !run.proved)
      throw new Error(
        `of ${size} messages ${run.messages} came, ${run.unproved} accounts unproved, roots proved: ${run.proved}`,
      );
    const perSecond = size / run.seconds;
    say(`${size} messages in ${run.seconds.toFixed(1)} s: ${perSecond.toFixed(0)}/s, ${peakMiB} MiB in a worker`);
    const close = async (): Promise<void> => {
      await node.child.stop();
      await database.drop();
    };
    return {
      perSecond,
      eventsPerVirtualShard: run.events / (256 * node.shards),
      close,
      address: node.address,
      url: database.url,
    };
  };
  const main = await scanned(messages);
  const read = await readRate(main.address);
  say(`read and decoded to nowhere: ${read.toFixed(0)}/s`);
  const copy = await copyRates(main.address, messages);
  say(
    `COPY of the same rows by one client: ${copy.ofRows.toFixed(0)}/s; of bytes made before: ${copy.ofBytes.toFixed(0)}/s`,
  );
  const rows = await rowRate(main.address, 2000);
  say(`a transaction a row: ${rows.toFixed(0)}/s`);
  await main.close();
  const costs: number[] = [];
  for (const size of growth) {
    const { perSecond, close } = await scanned(size);
    costs.push(1 / perSecond);
    await close();
  }
  await temporal.stop();
  return {
    copyRatio: round(main.perSecond / copy.ofRows),
    copyBytesRatio: round(main.perSecond / copy.ofBytes),
    readRatio: round(main.perSecond / read),
    rowRatio: round(main.perSecond / rows),
    messagesPerSecond: Math.round(main.perSecond),
    rssMiB: peakMiB,
    growth: costs.length < 2 ? 0 : round((costs.at(-1) ?? 0) / (costs[0] ?? 1)),
    eventsPerVirtualShard: round(main.eventsPerVirtualShard),
  };
}

runBench({
  name: 'snapchain',
  file: __filename,
  services: 'postgres',
  chosen,
  measure,
  text: (figures) =>
    Object.entries(figures)
      .map(([each, value]) => `${each} ${value}\n`)
      .join(''),
});
