/** The last way but one: the images that docker-compose.temporal.yml pins, each in a container of its own. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runTool } from './processes.mjs';
import { httpAnswers, mysqlGreets, redisAnswers, temporalServes } from './ready.mjs';
import { s3Key, s3Secret, searchAttributes } from './settings.mjs';

const composeFile = fileURLToPath(new URL('../../docker-compose.temporal.yml', import.meta.url));

const containers = {
  postgres: {
    composeService: 'store-postgres',
    port: 5432,
    run: ['-e', 'POSTGRES_HOST_AUTH_METHOD=trust'],
    args: [],
    // The image starts once for its set-up and listens on no port then: the port answers when it is the real one.
    ready: (port, id) => inContainer(id, ['pg_isready', '-h', '127.0.0.1', '-U', 'postgres'], port),
    exports: (port) => ({ WAYBILL_TEST_POSTGRES_URL: `postgres://postgres@127.0.0.1:${port}/postgres` }),
  },
  redis: {
    composeService: 'store-valkey',
    port: 6379,
    run: [],
    args: ['valkey-server', '--appendonly', 'yes'],
    ready: redisAnswers,
    exports: (port) => ({ WAYBILL_TEST_REDIS_URL: `redis://127.0.0.1:${port}` }),
  },
  mysql: {
    composeService: 'store-mariadb',
    port: 3306,
    run: ['-e', 'MARIADB_ALLOW_EMPTY_ROOT_PASSWORD=1', '-e', 'MARIADB_DATABASE=waybill'],
    args: [],
    ready: mysqlGreets,
    exports: (port) => ({ WAYBILL_TEST_MYSQL_URL: `mysql://root@127.0.0.1:${port}/waybill` }),
  },
  s3: {
    composeService: 'store-seaweedfs',
    port: 8333,
    run: ['-e', `AWS_ACCESS_KEY_ID=${s3Key}`, '-e', `AWS_SECRET_ACCESS_KEY=${s3Secret}`],
    args: ['mini', '-dir=/data', '-master.telemetry=false'],
    ready: (port) => httpAnswers(port, '/healthz'),
    exports: (port) => ({
      WAYBILL_TEST_S3_URL: `http://127.0.0.1:${port}`,
      WAYBILL_TEST_S3_ACCESS_KEY: s3Key,
      WAYBILL_TEST_S3_SECRET: s3Secret,
    }),
  },
  temporal: {
    // The tools' image carries the command, and the command carries the development server.
    composeService: 'temporal-schema',
    port: 7233,
    run: ['--entrypoint', 'temporal'],
    args: ['server', 'start-dev', '--headless', '--ip', '0.0.0.0', ...searchAttributes],
    ready: temporalServes,
    exports: (port) => ({ TEMPORAL_ADDRESS: `127.0.0.1:${port}`, TEMPORAL_NAMESPACE: 'default' }),
  },
};

let refusal;

/** Why docker cannot be used, or null. Asked once. */
export function dockerRefusal() {
  refusal ??= runTool('docker', ['info', '--format', '{{.ServerVersion}}'], { timeoutSeconds: 10 }).then(
    () => null,
    (error) => error.message.split('\n').slice(0, 2).join(' '),
  );
  return refusal;
}

/** The image of a service, read where it is pinned: one place for everybody. */
export function dockerImage(name) {
  const { composeService } = containers[name];
  const block = readFileSync(composeFile, 'utf8').split(new RegExp(`^  ${composeService}:\n`, 'm'))[1] ?? '';
  const image = /^ {4}image: (\S+)/m.exec(block.split(/^ {2}\S/m)[0])?.[1];
  if (!image) throw new Error(`${composeFile}: service ${composeService} names no image.`);
  return image;
}

/** Starts the container on a free port of 127.0.0.1. It removes itself when it stops. */
export async function startContainer(name, { image }, run) {
  const { port: inner, run: flags, args, ready, exports } = containers[name];
  const container = `waybill-${run.split('/').at(-1)}-${name}`;
  await runTool('docker', [
    'run',
    '-d',
    '--rm',
    '--name',
    container,
    '-p',
    `127.0.0.1::${inner}`,
    ...flags,
    image,
    ...args,
  ]);
  const mapped = await runTool('docker', ['port', container, `${inner}/tcp`]);
  const port = Number(/:(\d+)\s*$/m.exec(mapped)?.[1]);
  if (!port) throw new Error(`docker port ${container} ${inner}/tcp: "${mapped.trim()}", which holds no port.`);
  return { container, ports: [port], exports: exports(port), ready: () => ready(port, container) };
}

/** Says so when docker refuses, instead of failing: it is the last act, and whatever came before has its own exit code. */
export async function stopContainers(services) {
  const names = services.map((service) => service.container).filter(Boolean);
  if (names.length === 0) return;
  await runTool('docker', ['rm', '--force', '--volumes', ...names]).catch((error) => {
    console.error(`services: ${names.join(', ')} may still be there: ${error.message}`);
  });
}

/** The last lines that a container printed, for the error that says it did not come up. */
export const containerLog = (container) =>
  runTool('docker', ['logs', '--tail', '20', container]).catch((error) => error.message);

const inContainer = (id, command) =>
  runTool('docker', ['exec', id, ...command]).then(
    () => true,
    () => false,
  );
