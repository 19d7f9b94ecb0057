/**
 * What a sync costs, and how near it comes to what it is made of: reading the same answers to nowhere, and inserting the
 * same blobs. All measured in one run, in processes of their own.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { encodings, type Encoding } from '../servers/audio/encode';
import { showFile, type Cost, type Question } from './audio/peer';
import { makeShow, warmUpName, type Show } from './audio/show';
import { summary, table, type Figures } from './audio/report';
import { measureSync, type SyncCost } from './audio/sync';
import { startAnsweringChild } from './measure/processes';
import { runBench } from './measure/program';
import { startTemporal, type Temporal } from './measure/temporal';

const usage = `npm run bench -- audio [-o text|json] [--megabytes 500] [--segment-bytes 20979] [--chunk 500] [--repeat 2]`;
const peer = join(__dirname, 'audio', 'peer.js');

interface Options {
  readonly output: string;
  readonly megabytes: number;
  readonly segmentBytes: number;
  readonly chunk: number;
  readonly repeat: number;
}

interface Measured {
  readonly show: Show;
  readonly figures: readonly Figures[];
}

async function measure(dir: string, options: Options): Promise<Measured> {
  const show = makeShow(dir, options.megabytes * 1e6, options.segmentBytes);
  makeShow(dir, 1e6, 21_000, warmUpName);
  say(`${show.segments} segments, ${(show.audioBytes / 1e6).toFixed(1)} MB, chunk ${options.chunk}`);
  const temporal = await startTemporal(dir);
  const figures: Figures[] = [];
  for (const encoding of encodings) figures.push(await measureEncoding({ show, temporal, dir, options, encoding }));
  await temporal.stop();
  return { show, figures };
}

/** Progress goes to stderr: stdout is for the figures. */
const say = (line: string): void => void process.stderr.write(`${line}\n`);

function chosen(): Options {
  const { values } = parseArgs({
    options: {
      output: { type: 'string', short: 'o', default: 'text' },
      megabytes: { type: 'string', default: '500' },
      'segment-bytes': { type: 'string', default: '20979' },
      chunk: { type: 'string', default: '500' },
      repeat: { type: 'string', default: '2' },
    },
  });
  const options = {
    output: values.output,
    megabytes: Number(values.megabytes),
    segmentBytes: Number(values['segment-bytes']),
    chunk: Number(values.chunk),
    repeat: Number(values.repeat),
  };
  const numbers = [options.megabytes, options.segmentBytes, options.chunk, options.repeat];
  if (!['text', 'json'].includes(options.output) || numbers.some((value) => !Number.isInteger(value) || value < 1))
    throw new Error(`output is text or json, every number a whole one from 1 on. ${usage}`);
  return options;
}

interface Round {
  readonly show: Show;
  readonly temporal: Temporal;
  readonly dir: string;
  readonly options: Options;
  readonly encoding: Encoding;
}

/** The three in turn, each `repeat` times: what else the machine does meanwhile falls on all of them alike. */
async function measureEncoding({ show, temporal, dir, options, encoding }: Round): Promise<Figures> {
  const { chunk, repeat } = options;
  const feed = startAnsweringChild(peer);
  const feedUrl = await feed.ask<string>({ serve: { dir: show.dir, encoding } } satisfies Question);
  const figures = { encoding, read: [] as Cost[], insert: [] as Cost[], sync: [] as SyncCost[] };
  for (let round = 1; round <= repeat; round += 1) {
    const inserted = join(dir, `inserted-${encoding}-${round}.sqlite`);
    figures.read.push(await alone({ read: { url: feedUrl, segments: show.segments, chunk } }));
    figures.insert.push(await alone({ insert: { from: showFile(show.dir), to: inserted, chunk } }));
    rmSync(inserted);
    const localDir = join(dir, `copy-${encoding}-${round}`);
    const sync = await measureSync({ temporal, show, feed, feedUrl, localDir, chunk });
    figures.sync.push(sync);
    say(`${encoding} ${round}/${repeat}: ${sync.wallSeconds.toFixed(1)} s, ${sync.cpuSeconds.toFixed(1)} CPU s`);
  }
  await feed.stop();
  return figures;
}

async function alone(question: Question): Promise<Cost> {
  const child = startAnsweringChild(peer);
  try {
    return await child.ask<Cost>(question);
  } finally {
    await child.stop();
  }
}

runBench({
  name: 'audio',
  file: __filename,
  services: null,
  chosen,
  measure,
  text: ({ show, figures }) => `${table(show, figures).join('\n')}\n`,
  json: ({ show, figures }) => summary(show, figures),
});
