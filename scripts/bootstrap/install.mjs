/** node_modules as package-lock.json says, installed only when they differ. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { say } from '../progress.mjs';
import { capture, npm, root } from './children.mjs';

const lockFile = join(root, 'package-lock.json');
const stamp = join(root, 'node_modules', '.waybill-stamp');

export async function install() {
  const lock = readFileSync(lockFile, 'utf8');
  const digest = createHash('sha256').update(lock).digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return;
  if (!installedMatches(JSON.parse(lock))) await cleanInstall();
  writeFileSync(stamp, digest);
}

/** True when somebody already installed this very lock by hand: npm keeps a list of what it put there. */
function installedMatches(lock) {
  const file = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(file)) return false;
  const installed = JSON.parse(readFileSync(file, 'utf8')).packages;
  return Object.entries(lock.packages).every(([path, wanted]) => {
    if (path === '') return true;
    // Optional ones are there for some platforms only.
    if (!installed[path]) return Boolean(wanted.optional || wanted.devOptional);
    return installed[path].version === wanted.version && installed[path].integrity === wanted.integrity;
  });
}

async function cleanInstall() {
  say('npm ci: installing what package-lock.json lists (the first time, a minute or two)');
  const [command, first] = npm();
  // The tests and the build are among the dev dependencies, whatever NODE_ENV says.
  const args = [...first, 'ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'];
  const { code, output } = await capture(command, args, installEnvironment());
  if (code === 0) return say('npm ci: done');
  // What follows that line is npm's help.
  const said = output.split(/^npm error Clean install a project$/m)[0].trim();
  throw new Error(`npm ci: exit ${code}.\n${said}\n${adviceOn(said)} Then run this again.`);
}

function adviceOn(said) {
  if (said.includes('EUSAGE')) {
    return 'The lock does not fit package.json, or lacks a package of some platform: pin that one under "overrides", `npm install`.';
  }
  if (said.includes('gyp')) return 'It could not compile better-sqlite3: install a C++ compiler, make and python3.';
  return "If it could not reach the registry, check the network and npm's proxy settings.";
}

/** What npm tells its scripts about themselves would tell the nested npm something wrong; its settings are kept. */
function installEnvironment() {
  const aboutUs = /^npm_(lifecycle_|package_|command$|config_local_prefix$)/;
  return {
    ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !aboutUs.test(name))),
    ...nodeHeaders(),
  };
}

/** better-sqlite3 is compiled when its ready-made binary cannot be fetched: with this Node's own headers, if it has them. */
function nodeHeaders() {
  const prefix = dirname(dirname(process.execPath));
  const known = process.env.npm_config_nodedir !== undefined;
  return !known && existsSync(join(prefix, 'include', 'node', 'node.h')) ? { npm_config_nodedir: prefix } : {};
}
