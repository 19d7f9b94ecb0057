/** Child processes of the set-up: followed to their end, with signals passed on and their exit code taken over. */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { clearInterval, setInterval } from 'node:timers';
import { fileURLToPath } from 'node:url';

// As we were started: later it may be another already.
const parent = process.ppid;

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** The AWS SDK announces in every process that it will leave Node 20; known, see package.json. */
export const quiet = { AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true' };

/** Runs it with our terminal. A signal to us goes to it, and we end when it has ended, with its exit code. */
export function follow(command, args, env = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, env: { ...process.env, ...env }, stdio: 'inherit' });
    const forward = (signal) => {
      // Ctrl-C on a terminal reaches the child without us; a second one would mean "at once".
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
    };
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
    for (const signal of signals) process.on(signal, forward);
    const stopWatching = onLostParent(() => child.kill('SIGTERM'));
    const settle = (finish) => {
      stopWatching();
      for (const signal of signals) process.off(signal, forward);
      finish();
    };
    child.once('error', (cause) => settle(() => reject(new Error(`${command}: ${cause.message}`, { cause }))));
    child.once('exit', (code, signal) => settle(() => resolve(code ?? 128 + constants.signals[signal])));
  });
}

/**
 * npm hands a signal to the shell between us, which dies of it without a word to us: then our parent is another. Only under
 * npm; who starts this file in the background by hand may close the shell.
 */
export function onLostParent(stop) {
  if (process.env.npm_lifecycle_event === undefined) return () => {};
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    stop();
  }, 300);
  return () => clearInterval(watch);
}

/** Runs it silently: { code, output }, both streams in the order they came. */
export function capture(command, args, env = process.env) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] });
    const chunks = [];
    child.stdout.on('data', (chunk) => chunks.push(chunk));
    child.stderr.on('data', (chunk) => chunks.push(chunk));
    const output = () => Buffer.concat(chunks).toString().trim();
    child.once('error', (error) => resolve({ code: 127, output: `${command}: ${error.message}` }));
    child.once('close', (code, signal) => resolve({ code: code ?? 128 + constants.signals[signal], output: output() }));
  });
}

/** npm as we were called by it, or else the one on PATH: [command, first arguments]. */
export function npm() {
  const caller = process.env.npm_execpath ?? '';
  return caller.endsWith('npm-cli.js') ? [process.execPath, [caller]] : ['npm', []];
}
