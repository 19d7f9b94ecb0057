/** How each native service is set up and started: data and logs in its own directory, one port on 127.0.0.1. */
import { chownSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mariadbLibraries } from './catalogue.mjs';
import { runTool, servant } from './processes.mjs';
import { freePort, httpAnswers, mysqlGreets, postgresIsReady, redisAnswers, temporalServes } from './ready.mjs';
import { s3Key, s3Secret, searchAttributes } from './settings.mjs';

/** Made ready to start: { command, args, cwd, env, log, ports, stopSignal, ready, exports }. Nothing runs yet. */
export async function prepare(name, found, directory) {
  // A server that died leaves its data here, and what it was doing then nobody knows: it begins anew.
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  if (servant.uid !== undefined) chownSync(directory, servant.uid, servant.gid);
  const env = { PATH: '/usr/bin:/bin:/usr/sbin:/sbin', LANG: 'C.UTF-8', HOME: directory, TMPDIR: directory };
  const plan = await plans[name](found, directory, env);
  return { cwd: directory, env, log: join(directory, 'log'), stopSignal: 'SIGTERM', cleanUp: [], ...plan };
}

const plans = { postgres, redis, mysql, s3, temporal };

async function postgres({ programs }, directory, env) {
  const port = await freePort();
  const data = join(directory, 'data');
  const locale = process.platform === 'linux' ? 'C.UTF-8' : 'C';
  const initdb = ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', `--locale=${locale}`, '--no-sync'];
  await runTool(programs.initdb, initdb, { cwd: directory, env, as: servant });
  const settings = {
    listen_addresses: '127.0.0.1',
    port,
    // A socket's path may have 107 bytes, and a cache directory more.
    unix_socket_directories: '',
    max_connections: 200,
    // The data lives as long as the run: a killed server still finds its pages, a power cut may take them.
    fsync: 'off',
    full_page_writes: 'off',
  };
  const args = ['-D', data, ...Object.entries(settings).flatMap(([key, value]) => ['-c', `${key}=${value}`])];
  return {
    command: programs.server,
    args,
    ports: [port],
    // "Fast": drops its clients and stops. SIGTERM would wait for them.
    stopSignal: 'SIGINT',
    ready: async () => postgresIsReady(data),
    exports: { WAYBILL_TEST_POSTGRES_URL: `postgres://postgres@127.0.0.1:${port}/postgres` },
  };
}

async function redis({ programs }, directory) {
  const port = await freePort();
  // The append-only file is what WAITAOF waits for; snapshots would only cost.
  const settings = ['--port', port, '--bind', '127.0.0.1', '--dir', directory, '--appendonly', 'yes', '--save', ''];
  return {
    command: programs.server,
    args: settings.map(String),
    ports: [port],
    ready: () => redisAnswers(port),
    exports: { WAYBILL_TEST_REDIS_URL: `redis://127.0.0.1:${port}` },
  };
}

async function mysql({ programs, root }, directory, env) {
  const port = await freePort();
  const data = join(directory, 'data');
  const init = join(directory, 'init.sql');
  writeFileSync(init, 'CREATE DATABASE IF NOT EXISTS waybill CHARACTER SET utf8mb4;\n', { mode: 0o644 });
  const place = root === null ? [] : [`--basedir=${join(root, 'usr')}`];
  if (root !== null) {
    env.LD_LIBRARY_PATH = mariadbLibraries(root);
    env.PATH = `${join(root, 'usr', 'bin')}:${join(root, 'usr', 'sbin')}:${env.PATH}`;
  }
  // 16 MB of redo log instead of 96: the set-up writes it in full, and a test fills less.
  const common = ['--no-defaults', ...place, `--datadir=${data}`, '--innodb-log-file-size=16M'];
  const install = ['--auth-root-authentication-method=normal', '--skip-test-db', '--skip-name-resolve'];
  await runTool(programs.install, [...common, ...install], { cwd: directory, env, as: servant });
  const messages = root === null ? [] : [`--lc-messages-dir=${join(root, 'usr', 'share', 'mysql')}`];
  const settings = [
    `--port=${port}`,
    '--bind-address=127.0.0.1',
    // Relative to the data directory, because a socket's path may have 107 bytes.
    '--socket=socket',
    `--init-file=${init}`,
    '--innodb-buffer-pool-size=64M',
    // Containers often forbid native asynchronous I/O.
    '--innodb-use-native-aio=0',
    '--skip-name-resolve',
    '--character-set-server=utf8mb4',
    '--max-connections=200',
  ];
  return {
    command: programs.server,
    args: [...common, ...messages, ...settings],
    ports: [port],
    ready: () => mysqlGreets(port),
    exports: { WAYBILL_TEST_MYSQL_URL: `mysql://root@127.0.0.1:${port}/waybill` },
  };
}

async function s3({ programs }, directory, env) {
  // It would take fixed ports for its parts, and two runs would meet there: each gets one of its own.
  const parts = ['master.port', 'master.port.grpc', 'volume.port', 'volume.port.grpc', 'filer.port', 'filer.port.grpc'];
  const flags = [];
  const ports = [];
  for (const part of [...parts, 's3.port.grpc']) {
    ports.push(await freePort());
    flags.push(`-${part}=${ports.at(-1)}`);
  }
  // Its worker looks for the admin's second port at this distance, whatever the flags say.
  const adminPort = await freePort(10_000);
  const port = await freePort();
  const data = join(directory, 'data');
  mkdirSync(data, { mode: 0o755 });
  if (servant.uid !== undefined) chownSync(data, servant.uid, servant.gid);
  return {
    command: programs.server,
    args: [
      ...[
        '-logtostderr=true',
        'mini',
        `-dir=${data}`,
        '-ip=127.0.0.1',
        '-ip.bind=127.0.0.1',
        '-master.telemetry=false',
      ],
      // Nobody needs a second's notice of its end.
      '-volume.preStopSeconds=0',
      ...['-webdav=false', '-admin.ui=false', '-s3.port.iceberg=0', '-s3.port.lance=0', `-s3.port=${port}`],
      ...[`-admin.port=${adminPort}`, ...flags],
      ...['-filer.localSocket=filer-socket', '-s3.localSocket=s3-socket'],
    ],
    env: { ...env, AWS_ACCESS_KEY_ID: s3Key, AWS_SECRET_ACCESS_KEY: s3Secret },
    ports: [port, adminPort, adminPort + 10_000, ...ports],
    stopSignal: 'SIGINT',
    ready: () => httpAnswers(port, '/healthz'),
    // It names these sockets itself, in /tmp, and leaves them when it is killed.
    cleanUp: ['admin', 'filer', 'master', 's3', 'volume'].flatMap((part) =>
      [adminPort + 10_000, ...ports].map((grpc) => `/tmp/seaweedfs-${part}-grpc-${grpc}.sock`),
    ),
    exports: {
      WAYBILL_TEST_S3_URL: `http://127.0.0.1:${port}`,
      WAYBILL_TEST_S3_ACCESS_KEY: s3Key,
      WAYBILL_TEST_S3_SECRET: s3Secret,
    },
  };
}

async function temporal({ programs }, directory) {
  const port = await freePort();
  // Instead of the person's own, whose default profile may hold a cloud's address and key. The SDK wants a profile in it.
  const clientConfig = join(directory, 'client.toml');
  writeFileSync(clientConfig, '[profile.default]\n', { mode: 0o644 });
  return {
    command: programs.server,
    args: [
      ...['server', 'start-dev', '--headless', '--ip', '127.0.0.1', '--port', String(port)],
      // In a file, so that histories of thousands of events do not fill the memory of a small machine.
      ...['--db-filename', join(directory, 'temporal.db')],
      ...['--sqlite-pragma', 'journal_mode=WAL', '--sqlite-pragma', 'synchronous=NORMAL', ...searchAttributes],
      // The default of 20 polls a second makes a short test wait for its own tasks.
      ...['--dynamic-config-value', 'history.transferProcessorMaxPollRPS=1000'],
    ],
    ports: [port],
    stopSignal: 'SIGINT',
    ready: () => temporalServes(port),
    exports: {
      TEMPORAL_ADDRESS: `127.0.0.1:${port}`,
      TEMPORAL_NAMESPACE: 'default',
      TEMPORAL_CONFIG_FILE: clientConfig,
    },
  };
}

/** What a service leaves outside of its directory. */
export const removeLeftovers = (files) => files.forEach((file) => rmSync(file, { force: true }));
