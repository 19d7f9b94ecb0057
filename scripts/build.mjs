/** Builds dist/: TypeScript compiled, other files copied, the workflows bundled. Does nothing when nothing has changed. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { say } from './progress.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
// The emulated peers are built too: the benchmark and the demo start them as processes.
const folders = ['workflows', 'activities', 'workers', 'client', 'servers', 'bench', 'test/peers'];
const dist = join(root, 'dist');
const program = join(dist, 'client', 'main.js');
const bundle = join(dist, 'workflow-bundle.js');
const stamp = join(dist, '.stamp');
const bundleStamp = join(dist, '.bundle-stamp');

/** Throws when a step fails, having shown what the step said. */
async function build() {
  const sources = folders.flatMap((folder) => filesIn(folder));
  const settings = ['package-lock.json', 'tsconfig.json', 'tsconfig.build.json', 'scripts/build.mjs'];
  const now = digest([...sources, ...settings]);
  if (wasStamped(stamp, now) && existsSync(program) && existsSync(bundle)) return;
  // Removed first and written last: a build that breaks off is no build.
  rmSync(stamp, { force: true });
  removeOrphans(sources);
  compile();
  copyOtherFiles(sources);
  if (existsSync(program)) chmodSync(program, 0o755);
  await bundleWorkflows(sources);
  writeFileSync(stamp, now);
  say('built dist/');
}

function filesIn(folder) {
  if (!existsSync(join(root, folder))) return [];
  const entries = readdirSync(join(root, folder), { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return paths.map((path) => path.slice(root.length)).sort();
}

function digest(files) {
  const hash = createHash('sha256');
  for (const file of files)
    hash
      .update(`${file}\0`)
      .update(readFileSync(join(root, file)))
      .update('\0');
  return hash.digest('hex');
}

const wasStamped = (file, value) => existsSync(file) && readFileSync(file, 'utf8') === value;

/** What a deleted or renamed source left behind: it would be imported, or bundled, as if it were still there. */
function removeOrphans(sources) {
  const outputs = new Set(sources.map((file) => file.replace(/\.ts$/, '.js')));
  for (const folder of folders) {
    for (const file of filesIn(join('dist', folder))) {
      if (!outputs.has(file.slice('dist/'.length))) rmSync(join(root, file));
    }
  }
}

function compile() {
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  // Its memory of what it emitted must not outlive what it emitted.
  if (!existsSync(program)) rmSync(join(dist, '.tsbuildinfo'), { force: true });
  const done = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json', '--pretty'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  });
  if (done.status !== 0)
    throw new Error('tsc -p tsconfig.build.json found errors, shown above. Mend them, then run it again.');
}

/** SQL, .proto and the like, read at run time from beside the code that uses them. */
function copyOtherFiles(sources) {
  for (const file of sources.filter((source) => !/\.(ts|md)$/.test(source))) {
    mkdirSync(dirname(join(dist, file)), { recursive: true });
    copyFileSync(join(root, file), join(dist, file));
  }
}

/** Bundled ahead, because the bundler takes a second or two, which every worker would spend at its start. */
async function bundleWorkflows(sources) {
  // The lint rules let workflows import nothing else of ours than contracts.
  const inputs = sources.filter((file) => /^workflows\/|^activities\/.*contract\.ts$/.test(file));
  const now = digest([...inputs, 'package-lock.json', 'tsconfig.json']);
  if (wasStamped(bundleStamp, now) && existsSync(bundle)) return;
  const { bundleWorkflowCode, DefaultLogger } = createRequire(import.meta.url)('@temporalio/worker');
  const { code } = await bundleWorkflowCode({
    workflowsPath: join(dist, 'workflows', 'index.js'),
    logger: new DefaultLogger('WARN'),
  });
  // Renamed into place, so that a worker that starts meanwhile reads the old one or the new one, whole.
  writeFileSync(`${bundle}.new`, code);
  renameSync(`${bundle}.new`, bundle);
  writeFileSync(bundleStamp, now);
}

try {
  await build();
} catch (error) {
  console.error(`build: ${error.message}`);
  process.exitCode = 1;
}
