/** A followed run as numbers to look at: positions, rates, what is left. Pure: the clock is the caller's. */
import type { Counts } from '../activities/shared/contract';
import { bytes, duration, plural, printable } from './format';
import { countsOf, lanesOf, type Snapshot } from './snapshot';
import type { JobKnowledge, LanePlace } from './verb';

export interface LaneView extends LanePlace {
  readonly lane: string;
  readonly status: string;
  readonly counts: Counts;
  readonly bytesPerSecond: number;
  readonly positionsPerSecond: number;
  readonly secondsLeft: number | null;
}

export interface RunView {
  readonly phase: string;
  readonly lanes: readonly LaneView[];
  readonly counts: Counts;
  readonly bytesPerSecond: number;
  readonly parked: number;
}

interface Sample {
  readonly atMs: number;
  readonly lanes: ReadonlyMap<string, { position: number; bytes: number }>;
}

/** Rates are over this long: shorter ones jump, longer ones lag. */
const rateWindowMs = 10_000;

/** A viewer remembers what it saw, for the rates. One a run. */
export function createViewer(place: JobKnowledge['place']): (snapshot: Snapshot, nowMs: number) => RunView {
  let samples: Sample[] = [];
  return (snapshot, nowMs) => {
    const lanes = lanesOf(snapshot).filter(({ status }) => status !== 'idle');
    const places = lanes.map(({ cursor, counts }) => place(cursor, counts));
    const now: Sample = {
      atMs: nowMs,
      lanes: new Map(
        lanes.map(({ lane, counts }, index) => [
          lane,
          { position: places[index]?.position ?? 0, bytes: counts['bytes'] ?? 0 },
        ]),
      ),
    };
    samples = [...samples.filter(({ atMs }) => atMs > nowMs - rateWindowMs), now];
    const views = lanes.map(({ lane, status, counts }, index) => {
      const found = places[index] ?? { position: null, target: null };
      const { position, target } = found;
      const rate = rateOf(samples, lane);
      const left = position === null || target === null ? null : target - position;
      const secondsLeft = left === null || rate.positions <= 0 ? null : Math.max(0, left) / rate.positions;
      const rates = { bytesPerSecond: rate.bytes, positionsPerSecond: rate.positions };
      return { lane, status, ...found, counts, ...rates, secondsLeft };
    });
    return {
      phase: snapshot.progress?.phase ?? 'waiting for a worker',
      lanes: views,
      counts: countsOf(lanes),
      bytesPerSecond: views.reduce((sum, view) => sum + view.bytesPerSecond, 0),
      parked: snapshot.progress?.parked.length ?? 0,
    };
  };
}

function rateOf(samples: readonly Sample[], lane: string): { positions: number; bytes: number } {
  const seen = samples.flatMap(({ atMs, lanes }) => ({ atMs, at: lanes.get(lane) }));
  const known = seen.flatMap(({ atMs, at }) => (at === undefined ? [] : [{ atMs, ...at }]));
  // A first position is a jump from nowhere, not speed; so is one that goes back, as where a copy was removed by hand.
  const back = known.findLastIndex(({ position }, index) => position < (known[index - 1]?.position ?? 0));
  const placed = known.slice(Math.max(0, back)).filter(({ position }) => position > 0);
  const rate = (from: number | undefined, to: number | undefined, fromMs = 0, toMs = 0): number =>
    toMs - fromMs < 200 ? 0 : Math.max(0, (((to ?? 0) - (from ?? 0)) * 1000) / (toMs - fromMs));
  const [first, firstPlaced, last] = [known[0], placed[0], known.at(-1)];
  return {
    positions: rate(firstPlaced?.position, last?.position, firstPlaced?.atMs, last?.atMs),
    bytes: rate(first?.bytes, last?.bytes, first?.atMs, last?.atMs),
  };
}

/** A view in one log line. */
export function progressLine({ phase, lanes, counts, bytesPerSecond, parked }: RunView, laneWord: string): string {
  if (lanes.length === 0) return phase === 'planning' ? `planning: asking which ${laneWord}s there are` : phase;
  const done = lanes.filter(({ status }) => status === 'done').length;
  const failed = lanes.filter(({ status }) => status === 'failed').length;
  const parts = [
    lanes.length === 1 ? phase : `${phase}: ${done} of ${plural(lanes.length, laneWord)} done`,
    ...(failed === 0 ? [] : [`${failed} failed`]),
    ...lanes.filter(({ status }) => status === 'running').map(laneLine),
    ...(counts['bytes'] === undefined ? [] : [bytes(counts['bytes'])]),
    ...(bytesPerSecond > 0 ? [`${bytes(bytesPerSecond)}/s`] : []),
    ...unitRate(lanes),
    ...(parked === 0 ? [] : [`${parked} parked`]),
  ];
  return parts.join(', ');
}

/** `45 objects/s`, where positions are a count of something. */
function unitRate(lanes: readonly LaneView[]): string[] {
  const unit = lanes.find((lane) => lane.unit !== undefined)?.unit;
  const rate = lanes.reduce((sum, { positionsPerSecond }) => sum + positionsPerSecond, 0);
  return unit === undefined || rate <= 0 ? [] : [`${rate.toFixed(rate < 10 ? 1 : 0)} ${unit}/s`];
}

function laneLine({ lane, position, target, unit, secondsLeft }: LaneView): string {
  const counted = unit === undefined ? '' : ` ${unit}`;
  const place = position === null ? 'begins' : `${position}${target === null ? '' : ` of ${target}`}${counted}`;
  return `${printable(lane)} ${place}${secondsLeft === null ? '' : ` (${duration(secondsLeft)} left)`}`;
}
