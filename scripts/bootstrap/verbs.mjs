/** What can be asked of bootstrap.mjs; every verb first installs and builds what is not up to date. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { temporalProgram } from '../services/locate.mjs';
import { capture, follow, quiet, root } from './children.mjs';
import { install } from './install.mjs';
import { withDemoEnds } from './demo-ends.mjs';
import { test, withServices } from './tests.mjs';

const usage = 2;

const verbs = {
  start: async (args) => {
    await installAndBuild();
    return await withDemoEnds((flags) => runBuilt(['client/main.js', 'demo', ...flags, ...args]));
  },
  test: async (args) => {
    await install();
    const built = await build();
    return await test(
      args.filter((arg, index) => index > 0 || arg !== '--'),
      { built },
    );
  },
  bench: async ([job, ...args]) => {
    await installAndBuild();
    const benches = join(root, 'dist', 'bench');
    const jobs = existsSync(benches) ? readdirSync(benches).filter((file) => file.endsWith('.js')) : [];
    if (!job || !jobs.includes(`${job}.js`)) {
      console.error(
        `Usage: npm run bench -- JOB [args]. JOB is one of: ${jobs.map((file) => file.slice(0, -3)).join(', ')}.`,
      );
      return usage;
    }
    return await runBuilt([`bench/${job}.js`, ...args]);
  },
  'record-histories': async (args) => {
    await installAndBuild();
    return await withServices(['test/replay', ...args], { WAYBILL_RECORD_HISTORIES: '1' });
  },
};

async function installAndBuild() {
  await install();
  if (!(await build())) throw new Error('The build failed; the reason is shown above.');
}

/** False when it failed, having said why. */
async function build() {
  const { code, output } = await capture(process.execPath, ['scripts/build.mjs']);
  if (output) console.error(output);
  return code === 0;
}

const runBuilt = async ([file, ...args]) =>
  await follow(process.execPath, [join('dist', file), ...args], {
    ...quiet,
    TEMPORAL_CLI_PATH: await temporalProgram(),
  });

export async function main([verb, ...args]) {
  try {
    if (!Object.hasOwn(verbs, verb ?? '')) {
      console.error(`Usage: node scripts/bootstrap.mjs ${Object.keys(verbs).join(' | ')} [args]`);
      process.exitCode = usage;
      return;
    }
    process.exitCode = await verbs[verb](args);
  } catch (error) {
    console.error(`waybill ${verb}: ${error.message}`);
    process.exitCode = 1;
  }
}
