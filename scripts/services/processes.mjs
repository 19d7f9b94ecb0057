/** Programs run to their end, and servers started, watched and stopped: always by the id of what we started ourselves. */
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const isRoot = process.getuid?.() === 0;
const nobody = 65534;

/** PostgreSQL and MariaDB refuse to run as root, so for root every server runs as nobody. */
export const servant = isRoot ? { uid: nobody, gid: nobody } : {};

// And nobody must be able to read what root unpacks for it, however private root's files usually are.
if (isRoot) process.umask(0o022);

const running = new Set();

/** Ends the programs that `runTool` waits for; their promises reject. For an interrupt in the middle of a download. */
export function abortTools() {
  for (const child of running) child.kill('SIGTERM');
}

/**
 * Runs a program to its end and gives what it printed. Throws with the command, the exit code and its last lines.
 * `timeoutSeconds` ends a program that hangs.
 */
export function runTool(command, args, { cwd, env, as = {}, timeoutSeconds = 300 } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env: env ?? process.env, ...as, stdio: ['ignore', 'pipe', 'pipe'] });
    running.add(child);
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk) => (stdout += chunk));
    child.stderr.on('data', (chunk) => (stderr += chunk));
    const timer = setTimeout(() => child.kill('SIGKILL'), timeoutSeconds * 1000);
    const settle = (finish) => {
      clearTimeout(timer);
      running.delete(child);
      finish();
    };
    child.once('error', (cause) => settle(() => reject(new Error(`${command}: ${cause.message}`, { cause }))));
    child.once('close', (code, signal) =>
      settle(() => {
        if (code === 0) return resolve(stdout);
        const came = lastLines(stderr.trim() || stdout.trim(), 12);
        reject(new Error(`${command} ${args.slice(0, 3).join(' ')} …: ${signal ?? `exit ${code}`}.\n${came}`));
      }),
    );
  });
}

/** Starts a server that outlives neither `stopProcesses` nor, by its group, a Ctrl-C meant for the command it serves. */
export function startServer({ command, args, cwd, env, log }) {
  const out = openSync(log, 'a');
  const child = spawn(command, args, { cwd, env, ...servant, detached: true, stdio: ['ignore', out, out] });
  closeSync(out);
  const died = new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(signal ?? `exit ${code}`));
  });
  child.unref();
  return { pid: child.pid, born: child.pid === undefined ? null : bornAt(child.pid), died };
}

/**
 * When a process started, in its kernel's own words: with the pid it names one process for ever. Null when it is gone;
 * a zombie is gone too, it only waits for its parent to notice.
 */
export function bornAt(pid) {
  if (process.platform !== 'linux') return bornAtByPs(pid);
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name, in parentheses, may hold spaces: the fields are counted after it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? null : fields[19];
  } catch {
    return null;
  }
}

function bornAtByPs(pid) {
  const found = spawnSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], { encoding: 'utf8' }).stdout?.trim() ?? '';
  const [state = '', ...born] = found.split(/\s+/);
  return state === '' || state.startsWith('Z') ? null : born.join(' ');
}

/** True while the very process that we started runs, not a later one with its number. */
export const isAlive = ({ pid, born }) => Boolean(pid) && born !== null && bornAt(pid) === born;

// SeaweedFS takes two seconds to close; what has not ended by then is not going to.
const graceSeconds = 8;

/** Signals all at once, each with the signal it knows as "stop now, cleanly"; whoever stays is killed, with its group. */
export async function stopProcesses(processes) {
  for (const one of processes) if (isAlive(one)) signal(one.pid, one.stopSignal);
  const deadline = Date.now() + graceSeconds * 1000;
  while (Date.now() < deadline && processes.some(isAlive)) await sleep(20);
  for (const one of processes.filter(isAlive)) signal(-one.pid, 'SIGKILL');
  while (processes.some(isAlive)) await sleep(20);
}

function signal(pid, name) {
  try {
    process.kill(pid, name);
  } catch {
    // It ended between the look and the signal: what we wanted.
  }
}

export const lastLines = (text, count) => text.split('\n').slice(-count).join('\n');
