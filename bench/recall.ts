/**
 * What one wallet brings to a bucket on 1 s blocks, against waiting for each receipt and against its own lane with nothing else
 * to do; what history that costs, and what memory. All measured in one run, in processes of their own.
 */
import { parseArgs } from 'node:util';
import { cpuSecondsOf, memoryOf } from './measure/processes';
import { runBench } from './measure/program';
import { startTemporal, type Temporal } from './measure/temporal';
import { laneAlone, oneAtATime } from './recall/baselines';
import { measureLarge } from './recall/large';
import { startPeer, type Peer } from './recall/peer';
import { plant } from './recall/plant';
import { fill, makeTable, type Table } from './recall/rows';
import { measureRun, startWorker, type SyncFigures } from './recall/sync';

const usage =
  'npm run bench -- recall [-o text|json] [--objects 10000] [--bytes 1000] [--again 100000] [--large 1000] (MB) [--block 1] (s) [--rtt 5] (ms)';

interface Options {
  readonly output: string;
  readonly objects: number;
  readonly bytes: number;
  /** Objects that are there already, for the second look; 0 to leave it out. */
  readonly again: number;
  /** Megabytes of one object; 0 to leave it out. */
  readonly large: number;
  readonly block: number;
  /**
   * To the chain's node and back, in milliseconds. With 0 the emulated network's own CPU, on the cores that the job needs too,
   * is what is measured; a wallet's lane waits for lines, not for cores.
   */
  readonly rtt: number;
}

/** Progress goes to stderr: stdout is for the figures. */
const say = (line: string): void => void process.stderr.write(`${line}\n`);

function chosen(): Options {
  const { values } = parseArgs({
    options: {
      output: { type: 'string', short: 'o', default: 'text' },
      objects: { type: 'string', default: '10000' },
      bytes: { type: 'string', default: '1000' },
      again: { type: 'string', default: '100000' },
      large: { type: 'string', default: '1000' },
      block: { type: 'string', default: '1' },
      rtt: { type: 'string', default: '5' },
    },
  });
  const { output, ...numbers } = values;
  const { objects, bytes, again, large, block, rtt } = Object.fromEntries(
    Object.entries(numbers).map(([name, value]) => [name, Number(value)]),
  ) as Record<keyof typeof numbers, number>;
  if (
    !['text', 'json'].includes(output) ||
    ![objects, bytes, again, large].every(Number.isInteger) ||
    objects < 100 ||
    bytes < 16 ||
    !(block > 0) ||
    !(rtt >= 0)
  )
    throw new Error(`output is text or json, objects from 100 on, bytes from 16 on. ${usage}`);
  return { output, objects, bytes, again, large, block, rtt };
}

async function measure(dir: string, options: Options): Promise<Record<string, number>> {
  const { objects, bytes, block } = options;
  const [temporal, peer, table] = await Promise.all([
    startTemporal(dir),
    startPeer({ blockSeconds: block, roundTripMs: options.rtt }),
    makeTable('data'),
  ]);
  // As a fleet has it: one that signs, and others that read, upload and confirm. Signing holds a thread.
  const signer = await startWorker(dir, temporal, peer, table, { WAYBILL_RECALL_RECALL_SIGN: 'only' });
  const worker = await startWorker(dir, temporal, peer, table, { WAYBILL_RECALL_RECALL_SIGN: 'false' });
  // What a process does only once is not measured: the bucket, the first connections, the compiler.
  await fill(table, 200, bytes);
  const warm = await measureRun(temporal.client, worker, {});
  const bucket = bucketOf(warm);
  const receipts = await oneAtATime(peer, bucket, 12);
  say(`one at a time: ${receipts.toFixed(2)} objects/s`);
  const before = await laneAlone(peer, bucket, 1500);
  say(`the lane alone: ${before.toFixed(0)} objects/s`);
  await table.client.query(`TRUNCATE ${table.name}`);
  await fill(table, objects, bytes);
  const peersBefore = peer.pids.map(cpuSecondsOf);
  const sync = await measureRun(temporal.client, worker, {});
  const peers = peer.pids.map((pid, index) => cpuSecondsOf(pid) - (peersBefore[index] ?? 0));
  checkAll(sync, objects);
  const perSecond = objects / sync.seconds;
  say(
    `${objects} objects in ${sync.seconds.toFixed(1)} s: ${perSecond.toFixed(0)} objects/s, ${((sync.cpuSeconds / objects) * 1000).toFixed(1)} CPU ms each`,
  );
  say(
    `the network meanwhile, CPU ms an object: ${peers.map((seconds) => ((seconds / objects) * 1000).toFixed(1)).join(', ')} (front, object API, chain)`,
  );
  const after = await laneAlone(peer, bucket, 1500);
  say(`the lane alone, again: ${after.toFixed(0)} objects/s`);
  const signerMiB = memoryOf(signer.pid).peakMiB;
  say(`memory: ${sync.peakMiB} MiB, and ${signerMiB} MiB of the one that signs`);
  await signer.stop();
  await worker.stop();
  const large = options.large === 0 ? null : await measureLarge(dir, temporal, peer, options.large * 1_000_000);
  if (large !== null) say(`one object of ${options.large} MB: ${large.seconds.toFixed(1)} s, ${large.peakMiB} MiB`);
  // Last: once a hundred thousand objects are in it, the emulated chain takes seconds for a block.
  const again = options.again === 0 ? null : await secondLook({ dir, peer, table, bucket, temporal }, options.again);
  await table.drop();
  await temporal.stop();
  return {
    receiptRatio: round(perSecond / receipts),
    laneRatio: round((2 * perSecond) / (before + after)),
    objectsPerSecond: round(perSecond),
    eventsPer1000: round((sync.events / objects) * 1000),
    bytesPer1000: round((sync.bytes / objects) * 1000),
    rssMiB: Math.max(sync.peakMiB, signerMiB, again?.peakMiB ?? 0, large?.peakMiB ?? 0),
    checkedPerSecond: round(again === null ? 0 : options.again / again.seconds),
    cpuMsPerObject: round((sync.cpuSeconds / objects) * 1000),
  };
}

const round = (value: number): number => Math.round(value * 100) / 100;

/** A run over objects that are all there: it must send nothing. */
async function secondLook(
  { dir, peer, table, bucket, temporal }: { dir: string; peer: Peer; table: Table; bucket: string; temporal: Temporal },
  count: number,
): Promise<SyncFigures> {
  await table.client.query(`TRUNCATE ${table.name}`);
  await fill(table, count, 1000);
  await plant(peer, table, bucket);
  say(`${count} objects planted`);
  const worker = await startWorker(dir, temporal, peer, table);
  const look = await measureRun(temporal.client, worker, {});
  await worker.stop();
  const { present = 0, objects = 0 } = look.result.counts;
  if (present !== count || objects !== 0)
    throw new Error(`the second look saw ${present} of ${count} and sent ${objects}`);
  say(
    `${count} objects looked at again in ${look.seconds.toFixed(1)} s: ${(count / look.seconds).toFixed(0)}/s, ${look.peakMiB} MiB`,
  );
  return look;
}

function bucketOf({ result }: SyncFigures): string {
  const target = result.lanes[0]?.cursor?.target ?? '';
  return target.slice(target.indexOf('/') + 1);
}

/** No figure is better than a wrong one. */
function checkAll({ result }: SyncFigures, objects: number): void {
  const { objects: arrived = 0 } = result.counts;
  if (arrived !== objects || result.parked.length > 0)
    throw new Error(
      `${arrived} of ${objects} objects arrived, ${result.parked.length} are parked: ${result.parked[0]?.reason ?? ''}`,
    );
}

function text(figures: Record<string, number>): string {
  return Object.entries(figures)
    .map(([name, value]) => `${name.padEnd(18)} ${value}\n`)
    .join('');
}

runBench({
  name: 'recall',
  file: __filename,
  services: 'postgres,s3',
  chosen,
  measure,
  text,
});
