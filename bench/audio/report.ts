/** The figures of one benchmark run: as a table for people, as one object for programs. CPU by minimum: noise only adds. */
import type { Encoding } from '../../servers/audio/encode';
import type { Cost } from './peer';
import type { Show } from './show';
import type { SyncCost } from './sync';

export interface Figures {
  readonly encoding: Encoding;
  readonly read: readonly Cost[];
  readonly insert: readonly Cost[];
  readonly sync: readonly SyncCost[];
}

interface Ratios {
  /** Megabytes of audio a second, the best round's. */
  readonly syncMbPerSecond: number;
  readonly readMbPerSecond: number;
  readonly insertMbPerSecond: number;
  readonly readRatio: number;
  readonly insertRatio: number;
}

const median = (numbers: readonly number[]): number => {
  const sorted = [...numbers].sort((left, right) => left - right);
  const at = (index: number): number => sorted[index] ?? 0;
  return (at(Math.floor((sorted.length - 1) / 2)) + at(Math.ceil((sorted.length - 1) / 2))) / 2;
};
const wall = (cost: Cost): number => cost.wallSeconds;
const cpu = (cost: Cost): number => cost.cpuSeconds;

function ratios(show: Show, { read, insert, sync }: Figures): Ratios {
  const megabytesPerSecond = (rounds: readonly Cost[]): number => show.audioBytes / 1e6 / Math.min(...rounds.map(wall));
  const [syncRate, readRate, insertRate] = [sync, read, insert].map(megabytesPerSecond) as [number, number, number];
  return {
    syncMbPerSecond: syncRate,
    readMbPerSecond: readRate,
    insertMbPerSecond: insertRate,
    readRatio: syncRate / readRate,
    insertRatio: syncRate / insertRate,
  };
}

/** One line of JSON. What names no encoding is that of integers, which real senders send; memory is the worst of all. */
export function summary(show: Show, all: readonly Figures[]): object {
  const gigabytes = show.audioBytes / 1e9;
  const of = (wanted: Encoding): Figures => all.find(({ encoding }) => encoding === wanted) as Figures;
  const syncs = all.flatMap(({ sync }) => sync);
  const cpuPerGb = (rounds: readonly Cost[]): number => rounded(Math.min(...rounds.map(cpu)) / gigabytes);
  const integers = ratios(show, of('integers'));
  const base64 = ratios(show, of('base64'));
  return {
    segments: show.segments,
    audioBytes: show.audioBytes,
    cpuSecondsPerGbIntegers: cpuPerGb(of('integers').sync),
    cpuSecondsPerGbBase64: cpuPerGb(of('base64').sync),
    ...roundedAll(integers),
    readRatioBase64: rounded(base64.readRatio),
    insertRatioBase64: rounded(base64.insertRatio),
    syncMbPerSecondBase64: rounded(base64.syncMbPerSecond),
    // Nearly a constant, some 40 ms a run: the faster the sync, the larger its share.
    temporalShare: rounded(Math.min(...of('integers').sync.map(temporalShareOf)), 4),
    temporalShareBase64: rounded(Math.min(...of('base64').sync.map(temporalShareOf)), 4),
    rssMiB: Math.max(...syncs.map(({ peakMiB }) => peakMiB)),
    idleMiB: Math.max(...syncs.map(({ idleMiB }) => idleMiB)),
    senderCpuSecondsPerGbIntegers: rounded(Math.min(...of('integers').sync.map(senderCpu)) / gigabytes),
    senderCpuSecondsPerGbBase64: rounded(Math.min(...of('base64').sync.map(senderCpu)) / gigabytes),
  };
}

const senderCpu = (cost: SyncCost): number => cost.senderCpuSeconds;
const temporalShareOf = (cost: SyncCost): number => cost.temporalShare;
const rounded = (value: number, digits = 2): number => Number(value.toFixed(digits));
const roundedAll = (ratiosOf: Ratios): object =>
  Object.fromEntries(Object.entries(ratiosOf).map(([key, value]) => [key, rounded(value as number)]));

export function table(show: Show, all: readonly Figures[]): string[] {
  return all.flatMap((figures) => ['', ...section(show, figures)]);
}

function section(show: Show, figures: Figures): string[] {
  const { encoding, read, insert, sync } = figures;
  const gigabytes = show.audioBytes / 1e9;
  const { syncMbPerSecond, readRatio, insertRatio } = ratios(show, figures);
  const spread = (numbers: readonly number[], digits = 1): string =>
    `min ${Math.min(...numbers).toFixed(digits)}, median ${median(numbers).toFixed(digits)}`;
  const line = (what: string, rounds: readonly Cost[]): string => {
    const rate = rounds.map((cost) => show.audioBytes / 1e6 / cost.wallSeconds);
    const perGb = rounds.map((cost) => cost.cpuSeconds / gigabytes);
    const best = `max ${Math.max(...rate).toFixed(1)}, median ${median(rate).toFixed(1)}`;
    return `  ${what.padEnd(28)} ${best} MB/s; CPU s a GB: ${spread(perGb)}`;
  };
  const share = sync.map((cost) => cost.temporalShare * 100);
  return [
    `audio_data as ${encoding}, ${show.segments} segments, ${(show.audioBytes / 1e6).toFixed(1)} MB of audio`,
    line('sync (receiving worker)', sync),
    line('read to nowhere', read),
    line('insert alone', insert),
    `  sync at ${syncMbPerSecond.toFixed(1)} MB/s is ${readRatio.toFixed(2)} of reading, ${insertRatio.toFixed(2)} of inserting`,
    `  sender's CPU s a GB: ${spread(sync.map((cost) => cost.senderCpuSeconds / gigabytes))}`,
    `  Temporal's share of the time: ${spread(share, 2)} %`,
    `  worker's memory: at most ${Math.max(...sync.map(({ peakMiB }) => peakMiB))} MiB, ${spread(
      sync.map(({ idleMiB }) => idleMiB),
      0,
    )} before it began`,
  ];
}
