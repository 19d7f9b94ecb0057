/** Waybill's own processes as an operator has them: started from dist/, killed, started again; their words kept. */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { newFolder } from './folders';

export interface NodeProcess {
  /** Resolves when the process says that it is ready. One that ends by itself is started again, as an orchestrator does. */
  start(): Promise<void>;
  /** SIGKILL: nothing is said to anyone. Resolves when it is gone. */
  kill(): Promise<void>;
  /** SIGTERM. Resolves with the exit code. */
  stop(): Promise<number | null>;
  /** Everything that it said on stderr, over all its lives. */
  said(): string;
  /** How often it ended by itself. */
  readonly collapses: number;
}

interface Launch {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** What it says on stderr once it works. */
  readonly ready: RegExp;
}

const respawnMs = 200;

function launch({ args, env, ready }: Launch): NodeProcess {
  const cwd = newFolder('process'); // no waybill.toml of whoever runs the tests
  let child: ChildProcess | null = null;
  let wanted = false;
  let said = '';
  let collapses = 0;
  const spawnChild = (onReady: () => void): void => {
    const from = said.length;
    const current = spawn(process.execPath, args, { cwd, env: { ...ownEnvironment(), ...env }, stdio: 'pipe' });
    child = current;
    current.stdout.resume();
    current.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      if (ready.test(said.slice(from))) onReady();
    });
    current.once('exit', () => {
      if (!wanted || child !== current) return;
      collapses += 1;
      setTimeout(() => wanted && child === current && spawnChild(onReady), respawnMs);
    });
  };
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    wanted = false;
    if (child === null) return null;
    const current = child;
    if (current.exitCode === null && current.signalCode === null) {
      const gone = new Promise((resolve) => current.once('exit', resolve));
      current.kill(signal);
      await gone;
    }
    return current.exitCode;
  };
  return {
    start: () => {
      wanted = true;
      return new Promise((resolve) => spawnChild(resolve));
    },
    kill: async () => void (await end('SIGKILL')),
    stop: () => end('SIGTERM'),
    said: () => said,
    get collapses() {
      return collapses;
    },
  };
}

/** Ours without what would configure the process behind the test's back. */
function ownEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(WAYBILL|TEMPORAL)_/.test(name)));
}

function built(file: string): string {
  const path = join(__dirname, '../../dist', file);
  if (!existsSync(path)) throw new Error(`${path} is missing: node scripts/build.mjs makes it`);
  return path;
}

/** A worker for every job, as containers run it. */
export function workerProcess(address: string, host: string, env: Readonly<Record<string, string>> = {}): NodeProcess {
  const settings = {
    TEMPORAL_ADDRESS: address,
    TEMPORAL_NAMESPACE: 'default',
    WAYBILL_WORKER_HOST: host,
    WAYBILL_WORKER_LISTEN: '',
    WAYBILL_WORKER_REGISTER_SEARCH_ATTRIBUTES: 'false', // test/support/temporal.ts starts its server with them
  };
  return launch({ args: [built('workers/main.js')], env: { ...settings, ...env }, ready: /worker started/ });
}

/** A recording server over `dir`, always on the same port, so that a restart is found where it was. */
export function senderProcess(dir: string, port: number): NodeProcess {
  const settings = JSON.stringify({ dir, port, host: '127.0.0.1', encoding: 'base64' });
  const script = `
    const log = { info() {}, warn() {} };
    require(${JSON.stringify(built('servers/audio-feed.js'))})
      .startAudioFeed({ ...${settings}, log })
      .then((feed) => console.error('sender listens on', feed.url));`;
  return launch({ args: ['-e', script], env: {}, ready: /sender listens/ });
}
