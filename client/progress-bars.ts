/** How a followed run is shown on stderr: a bar a lane on a terminal, a line every 30 s elsewhere. */
import type { MultiBar, SingleBar } from 'cli-progress';
import { bytes, duration, printable } from './format';
import type { Output } from './output';
import { progressLine, type LaneView, type RunView } from './run-view';

export interface Display {
  update(view: RunView): void;
  /** A line of its own, above the bars. */
  say(line: string): void;
  /** Shows the last state and lets go of the terminal. Call once. */
  end(): void;
}

const lineEveryMs = 30_000;
/** More bars than this scroll off most terminals. */
const barsMax = 20;

export async function createDisplay(output: Output, laneWord: string): Promise<Display> {
  if (!output.terminal) return lines(output, laneWord);
  const { default: cliProgress } = await import('cli-progress');
  return bars(
    new cliProgress.MultiBar({
      format: '{lane} {bar} {position}{rate}{left}',
      barsize: 24,
      hideCursor: true,
      stream: process.stderr,
      // Ctrl-C is the caller's.
      gracefulExit: false,
      clearOnComplete: true,
    }),
    output,
  );
}

function lines(output: Output, laneWord: string): Display {
  let shownAt = Number.NEGATIVE_INFINITY;
  let shown = '';
  let last = '';
  const show = (): void => {
    if (last === shown || last === '') return;
    shown = last;
    shownAt = performance.now();
    output.say(last);
  };
  return {
    update: (view) => {
      last = progressLine(view, laneWord);
      if (performance.now() - shownAt < lineEveryMs) return;
      output.event('progress', { ...view });
      show();
    },
    say: (line) => output.say(line),
    end: show,
  };
}

function bars(multi: MultiBar, output: Output): Display {
  const byLane = new Map<string, SingleBar>();
  let ended = false;
  return {
    update: ({ lanes }) => {
      for (const lane of lanes) {
        const known = byLane.get(lane.lane);
        if (known !== undefined) known.setTotal(total(lane));
        else if (byLane.size < barsMax && lane.status === 'running')
          byLane.set(lane.lane, multi.create(total(lane), 0, payload(lane)));
        byLane.get(lane.lane)?.update(lane.target === null ? 0 : (lane.position ?? 0), payload(lane));
      }
    },
    say: (line) => {
      if (ended) output.say(line);
      else multi.log(`${line}\n`);
    },
    end: () => {
      ended = true;
      multi.stop();
    },
  };
}

const total = ({ position, target }: LaneView): number => Math.max(1, target ?? position ?? 1);

function payload({ lane, status, position, target, unit, bytesPerSecond, secondsLeft }: LaneView): object {
  const counted = unit === undefined ? `${position ?? 0} of ${target ?? '?'}` : `${position ?? 0} ${unit}`;
  return {
    lane: printable(lane).slice(0, 24).padEnd(24),
    position: status === 'failed' ? 'failed' : counted,
    rate: status === 'running' && bytesPerSecond > 0 ? `  ${bytes(bytesPerSecond)}/s` : '',
    left: status === 'running' && secondsLeft !== null ? `  ${duration(secondsLeft)} left` : '',
  };
}
