/** A run: services started together, recorded as they start, and stopped together. Nothing that it started is left. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { catalogue } from './catalogue.mjs';
import { containerLog, startContainer, stopContainers } from './docker.mjs';
import { prepare, removeLeftovers } from './launch.mjs';
import { locate, temporalProgram } from './locate.mjs';
import { isAlive, lastLines, startServer, stopProcesses } from './processes.mjs';
import { readState, removeRun, writeState } from './state.mjs';

// A loaded machine takes ten times the two seconds that an idle one needs.
const readySeconds = 60;

/**
 * Starts the named services side by side and resolves when all are ready; those that already run are left alone. When one
 * fails, everything of this run is stopped and the error tells about the failed ones. `say` hears of progress.
 */
export async function startServices(run, names, { owner, say, interrupt }) {
  const state = readState(run);
  const kept = state.services.filter(isRunning);
  const current = { owner, services: kept };
  writeState(run, current);
  // Recorded the moment it starts, so that a killed `up` can still be taken down.
  const record = (service) => {
    current.services.push(service);
    writeState(run, current);
  };
  const missing = names.filter((name) => !kept.some((service) => service.name === name));
  const results = await Promise.allSettled(missing.map((name) => startOne(run, name, { record, say, interrupt })));
  const failures = results.filter((result) => result.status === 'rejected').map((result) => result.reason.message);
  if (failures.length > 0 || interrupt.aborted) {
    await stopServices(run);
    throw new Error(failures.join('\n') || 'Interrupted while the services started.');
  }
  return current.services;
}

export const isRunning = (service) => service.how === 'external' || Boolean(service.container) || isAlive(service);

async function startOne(run, name, { record, say, interrupt }) {
  const startedAt = Date.now();
  const found = await locate(name);
  if (interrupt.aborted) throw new Error(`${name}: interrupted before its start.`);
  const base = { name, how: found.how, version: found.version };
  if (found.how === 'external') {
    record({ ...base, ports: [], exports: { [catalogue[name].urlName]: found.address } });
  } else if (found.how === 'docker') {
    const { ready, ...container } = await startContainer(name, found, run);
    record({ ...base, ...container });
    await untilReady(name, {
      ready,
      died: new Promise(() => {}),
      log: () => containerLog(container.container),
      interrupt,
    });
  } else {
    await startNative(name, found, { run, base, record, interrupt });
  }
  say(`${name} ${found.version} (${found.how}) ready in ${((Date.now() - startedAt) / 1000).toFixed(1)} s`);
}

// Our port may be taken between the look and the bind; twice in a row it is something else.
const startsMax = 2;

async function startNative(name, found, { run, base, record, interrupt }) {
  for (let start = 1; ; start += 1) {
    const plan = await prepare(name, found, join(run, start === 1 ? name : `${name}-${start}`));
    const server = startServer(plan);
    const { ports, stopSignal, cleanUp, exports, cwd: directory, log } = plan;
    record({ ...base, pid: server.pid, born: server.born, ports, stopSignal, cleanUp, exports, directory, log });
    try {
      await untilReady(name, { ready: plan.ready, died: server.died, log: () => readFileSync(log, 'utf8'), interrupt });
      return;
    } catch (error) {
      if (start === startsMax || !/address already in use|bind: address|EADDRINUSE/i.test(error.message)) throw error;
    }
  }
}

async function untilReady(name, { ready, died, log, interrupt }) {
  const deadline = Date.now() + readySeconds * 1000;
  let end = null;
  void died.then((how) => (end = how));
  while (!(await ready())) {
    if (interrupt.aborted) throw new Error(`${name}: interrupted while it started.`);
    if (end !== null)
      throw new Error(`${name}: its server ended at start (${end}). Its last words:\n${await tail(log)}`);
    if (Date.now() > deadline) {
      throw new Error(`${name}: not ready ${readySeconds} s after its start. Its last words:\n${await tail(log)}`);
    }
    await sleep(25);
  }
}

const tail = async (log) => lastLines((await log()).trim(), 15).replace(/^/gm, '    ');

/** Stops everything of a run and removes its directory, data and all. Harmless when nothing runs. */
export async function stopServices(run) {
  const { services } = readState(run);
  await Promise.all([stopProcesses(services.filter((service) => service.pid)), stopContainers(services)]);
  removeLeftovers(services.flatMap((service) => service.cleanUp ?? []));
  removeRun(run);
  return services;
}

/** What a command needs to know to use these services: addresses, credentials, the temporal program. */
export async function environmentOf(services) {
  const inOrder = Object.keys(catalogue).map((name) => services.find((service) => service.name === name));
  const exports = Object.assign({}, ...inOrder.map((service) => service?.exports));
  if (!exports.TEMPORAL_ADDRESS) return exports;
  // Tests start servers of their own. Without the program those fail, each saying so; the others still run.
  const program = await temporalProgram().catch(() => null);
  return program === null ? exports : { ...exports, TEMPORAL_CLI_PATH: program };
}

/** Variables that would steer a client elsewhere than to the server of this run, a cloud for instance. */
export function withoutOtherTemporal(environment, services) {
  const temporal = services.find((service) => service.name === 'temporal');
  if (!temporal || temporal.how === 'external') return environment;
  const kept = (name) => !name.startsWith('TEMPORAL_') || name === 'TEMPORAL_CLI_PATH';
  return Object.fromEntries(Object.entries(environment).filter(([name]) => kept(name)));
}
