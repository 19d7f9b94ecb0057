/** What deploys Waybill is valid by its own linters, pins every image, and opens no port beyond this machine. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const root = join(__dirname, '..');
const compose = readFileSync(join(root, 'docker-compose.temporal.yml'), 'utf8');
const dockerfile = readFileSync(join(root, 'deploy', 'Dockerfile'), 'utf8');

const run = (command: string, ...args: string[]): string =>
  execFileSync(command, args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

interface Finding {
  readonly messages: readonly { readonly rule: string; readonly line: number; readonly message: string }[];
}

/** dclint holds the file against the Compose specification's JSON schema before its own rules. */
function lintCompose(file: string): Finding[] {
  const dclint = join(dirname(require.resolve('dclint/package.json')), 'bin', 'dclint.cjs');
  try {
    return JSON.parse(run(process.execPath, dclint, '--formatter', 'json', file)) as Finding[];
  } catch (error) {
    // It ends with 1 when it has found something, and says what on stdout all the same.
    return JSON.parse((error as { stdout: string }).stdout) as Finding[];
  }
}

it('docker-compose.temporal.yml fits the schema and every rule of the linter', () => {
  const findings = lintCompose('docker-compose.temporal.yml');
  expect(findings).toHaveLength(1);
  expect(findings[0]?.messages).toEqual([]);
});

it('deploy/Dockerfile passes hadolint', () => {
  const hadolint = run(process.execPath, 'scripts/services.mjs', 'path', 'hadolint').trim();
  expect(JSON.parse(run(hadolint, '--no-fail', '--format', 'json', 'deploy/Dockerfile'))).toEqual([]);
});

/** A tag that names a version of its own: digits and a point at least. */
const pinned = /^[\w./-]+:(\w+-)*\d+\.\d+[\w.-]*$/;

it('every image of the compose file is pinned', () => {
  const images = [...compose.matchAll(/^ +image: (\S+)$/gm)].map((match) => match[1]);
  expect(images.length).toBeGreaterThanOrEqual(8);
  expect(images.filter((image) => !pinned.test(image ?? ''))).toEqual([]);
});

it('every base image of the Dockerfile is pinned, and they are of one Node', () => {
  const bases = [...dockerfile.matchAll(/^FROM (\S+)/gm)].map((match) => match[1] ?? '');
  expect(bases).toHaveLength(2);
  expect(bases.filter((base) => !pinned.test(base))).toEqual([]);
  expect(new Set(bases.map((base) => /^node:([\d.]+)-/.exec(base)?.[1])).size).toBe(1);
});

it('every port of the compose file is bound to 127.0.0.1', () => {
  const ports = [...compose.matchAll(/^ +- '?([\d.:]+)'?$/gm)].map((match) => match[1] ?? '');
  expect(ports.length).toBeGreaterThanOrEqual(7);
  expect(ports.filter((port) => !port.startsWith('127.0.0.1:'))).toEqual([]);
});

it('the image runs neither as root nor through a shell', () => {
  expect(/^USER (\d+)/m.exec(dockerfile)?.[1]).toBe('1000');
  expect(/^CMD (.*)$/m.exec(dockerfile)?.[1]).toBe('["node", "dist/workers/main.js"]');
});
