/** Where services keep what they need on disk: the cache of fetched programs, and one directory a run with its state. */
import { createHash, randomBytes } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { bornAt, stopProcesses } from './processes.mjs';

const uid = process.getuid?.() ?? 0;

/** The cache of this user. For root it lies in the temporary directory: its servers run as nobody, who cannot read /root. */
export function cacheDirectory() {
  const root = uid === 0 ? join(tmpdir(), 'waybill-0') : join(homedir(), '.cache', 'waybill');
  const directory = resolve(process.env.WAYBILL_CACHE || root);
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  refuseStrangers(directory);
  return directory;
}

/** Programs are run from the cache, so nobody else may have put them there; and nobody must be able to read them. */
function refuseStrangers(directory) {
  const found = lstatSync(directory);
  // A person's own group is usually theirs alone; root's may have others in it.
  const strangers = uid === 0 ? 0o022 : 0o002;
  if (found.uid !== uid || (found.mode & strangers) !== 0) {
    throw new Error(
      `Cache ${directory}: owned by uid ${found.uid} with mode ${(found.mode & 0o777).toString(8)}, so others can change ` +
        `the programs run from it. Set WAYBILL_CACHE to a directory that only uid ${uid} can write.`,
    );
  }
  if (uid !== 0) return;
  for (let parent = directory; parent !== dirname(parent); parent = dirname(parent)) {
    if ((statSync(parent).mode & 0o001) !== 0) continue;
    throw new Error(
      `Cache ${directory}: ${parent} is closed to others, and root's servers run as nobody. ` +
        'Set WAYBILL_CACHE to a directory that everyone can read, or run as an ordinary user.',
    );
  }
}

/** What `up` started for this checkout; there is one such run, and the later verbs find it again by the same name. */
export function lastingRun(checkout) {
  const name = createHash('sha256').update(checkout).digest('hex').slice(0, 12);
  return join(runsDirectory(), `up-${name}`);
}

/** A directory for one `exec`, named after the process that must clean it up. */
export function passingRun() {
  return join(runsDirectory(), `exec-${process.pid}-${randomBytes(3).toString('hex')}`);
}

function runsDirectory() {
  const directory = join(cacheDirectory(), 'runs');
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  return directory;
}

/** What runs there: a service with how, pid, born, ports, data directory, exports. No file means nothing runs. */
export function readState(run) {
  const file = join(run, 'state.json');
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : { owner: null, services: [] };
}

export function writeState(run, state) {
  mkdirSync(run, { recursive: true, mode: 0o755 });
  // Written aside and renamed, so that a reader never sees half a state.
  writeFileSync(join(run, 'state.json.new'), JSON.stringify(state, null, 2));
  renameSync(join(run, 'state.json.new'), join(run, 'state.json'));
}

export const removeRun = (run) => rmSync(run, { recursive: true, force: true, maxRetries: 3 });

export const self = () => ({ pid: process.pid, born: bornAt(process.pid) });
const isGone = (owner) => bornAt(owner.pid) !== owner.born;

/** Ends what an `exec` left behind that was itself killed without warning. Only pids that it recorded, and only its own. */
export async function sweepAbandonedRuns(stopContainers) {
  for (const name of readdirSync(runsDirectory())) {
    const run = join(runsDirectory(), name);
    if (!name.startsWith('exec-') || name.endsWith('.lock')) continue;
    const state = readState(run);
    // No owner yet: its maker is between creating the directory and signing it. The name tells who that is.
    const gone = state.owner === null ? bornAt(Number(name.split('-')[1])) === null : isGone(state.owner);
    if (!gone) continue;
    await stopProcesses(state.services.filter((service) => service.pid));
    await stopContainers(state.services);
    removeRun(run);
  }
}

// A cold start with a slow network takes minutes; whoever waits longer waits for something that hangs.
const lockWaitSeconds = 600;

/** One at a time per run: the second `up` waits, then finds everything running. A dead owner's lock is taken over. */
export async function withLock(run, work) {
  const lock = `${run}.lock`;
  const deadline = Date.now() + lockWaitSeconds * 1000;
  while (!tryLock(lock)) {
    if (Date.now() > deadline)
      throw new Error(`Lock ${lock}: still held after ${lockWaitSeconds} s. Remove it if nobody is at work.`);
    await sleep(100);
  }
  try {
    return await work();
  } finally {
    rmSync(lock, { force: true });
  }
}

function tryLock(lock) {
  try {
    writeFileSync(lock, JSON.stringify(self()), { flag: 'wx' });
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  }
  try {
    const text = readFileSync(lock, 'utf8');
    // Empty: its owner is between creating and writing it.
    if (text !== '' && isGone(JSON.parse(text))) rmSync(lock, { force: true });
  } catch {
    // Released meanwhile; the next try tells.
  }
  return false;
}
