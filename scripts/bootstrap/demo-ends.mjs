/** What the demo's recall and snapchain jobs move between: PostgreSQL, S3, an emulated network, a node; up as long as the demo is. */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { say } from '../progress.mjs';
import { stopContainers } from '../services/docker.mjs';
import { anvilProgram } from '../services/locate.mjs';
import { abortTools, bornAt, lastLines, stopProcesses } from '../services/processes.mjs';
import { environmentOf, startServices, stopServices } from '../services/run.mjs';
import { passingRun, self, sweepAbandonedRuns } from '../services/state.mjs';
import { onLostParent, quiet, root } from './children.mjs';

/**
 * Runs it with the demo's flags: where these ends are, or why they are not to be had on this machine, which is no failure.
 * Gives its exit code, with everything stopped.
 */
export async function withDemoEnds(demo) {
  const interrupt = untilInterrupted();
  const run = passingRun();
  let ends = null;
  try {
    ends = await startEnds(run, interrupt);
    const flags = ends.config ? ['--ends', ends.config] : ['--without-ends', ends.reason];
    return interrupt.name === null ? await demo(flags) : 128 + constants.signals[interrupt.name];
  } finally {
    await ends?.stop();
    await stopServices(run);
    interrupt.dispose();
  }
}

/** The signal is remembered: what has begun is stopped in our order, and not cut short by a second one. */
function untilInterrupted() {
  const interrupt = { aborted: false, name: null, onAbort: () => {} };
  const heard = (name) => {
    interrupt.aborted = true;
    interrupt.name ??= name;
    abortTools();
    interrupt.onAbort();
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const name of signals) process.on(name, heard);
  const stopWatching = onLostParent(() => heard('SIGTERM'));
  interrupt.dispose = () => {
    stopWatching();
    for (const name of signals) process.off(name, heard);
  };
  return interrupt;
}

const none = async () => {};

async function startEnds(run, interrupt) {
  try {
    await sweepAbandonedRuns(stopContainers);
    const [anvil, services] = await bothOf(
      anvilProgram(),
      startServices(run, ['postgres', 's3'], { owner: self(), say, interrupt }),
    );
    if (interrupt.aborted) throw new Error('interrupted');
    return await startPeer({ ...(await environmentOf(services)), ANVIL_PATH: anvil }, interrupt);
  } catch (error) {
    if (interrupt.aborted) return { reason: 'interrupted', stop: none };
    // It takes memory, and nothing needs it now.
    await stopServices(run);
    return { reason: error.message, stop: none };
  }
}

/** Promise.all that leaves nothing under way when it throws. */
async function bothOf(...promises) {
  const results = await Promise.allSettled(promises);
  const failures = results.filter(({ status }) => status === 'rejected').map(({ reason }) => reason.message);
  if (failures.length > 0) throw new Error(failures.join('\n'));
  return results.map(({ value }) => value);
}

/** Rows, objects, network and node: { config, stop }. A process group of its own, so that Ctrl-C leaves it to us. */
async function startPeer(environment, interrupt) {
  const child = spawn(process.execPath, [join('dist', 'test', 'peers', 'demo', 'main.js')], {
    cwd: root,
    env: { ...process.env, ...quiet, ...environment },
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  });
  const born = bornAt(child.pid);
  const stop = () => stopProcesses([{ pid: child.pid, born, stopSignal: 'SIGTERM' }]);
  let said = '';
  child.stderr.on('data', (chunk) => (said += chunk));
  interrupt.onAbort = () => child.kill('SIGTERM');
  try {
    const { config, objects, bytes, node } = JSON.parse(await firstLine(child, () => said));
    say(`${objects} objects (${(bytes / 1e6).toFixed(1)} MB) in PostgreSQL and S3, an emulated network: ready`);
    say(`A snapchain node's recording, served as that node at ${node}: ready`);
    return { config, stop };
  } catch (error) {
    await stop();
    throw error;
  } finally {
    // From here on it is stopped when the demo has ended, which may still ask it something.
    interrupt.onAbort = () => {};
  }
}

function firstLine(child, said) {
  return new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve);
    child.once('error', reject);
    child.once('close', (code, signal) =>
      reject(
        new Error(
          `its rows, network and node did not come up (${signal ?? `exit ${code}`}): ${lastLines(said().trim(), 5)}`,
        ),
      ),
    );
  });
}
