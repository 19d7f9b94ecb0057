/** The whole suite: four checks of the text, then every test against the real services. Ends with "N passed, N failed". */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { say } from '../progress.mjs';
import { capture, follow, npm, quiet } from './children.mjs';

// The parts of `npm run check`, run each by itself so that one failure does not hide the next.
const checks = ['format:check', 'lint', 'types', 'dead-code'];

/**
 * Everything, or, with jest's arguments, only the tests these select. Gives the exit code. The tests run from the sources,
 * so a build that failed is one more failure, not the end of the others.
 */
export async function test(jestArgs, { built }) {
  const checked = jestArgs.length === 0 ? await runChecks() : { passed: 0, failed: 0 };
  const tested = await runJest(jestArgs);
  const failed = checked.failed + tested.failed + (built ? 0 : 1);
  console.log(`${checked.passed + tested.passed} passed, ${failed} failed`);
  return failed > 0 ? tested.code || 1 : tested.code;
}

async function runChecks() {
  // Two at a time: more would only take turns on a small machine.
  const results = [];
  const queue = [...checks];
  const work = async () => {
    for (let check = queue.shift(); check !== undefined; check = queue.shift()) results.push(await runCheck(check));
  };
  await Promise.all([work(), work()]);
  const passed = results.filter(Boolean).length;
  return { passed, failed: results.length - passed };
}

async function runCheck(check) {
  const [command, first] = npm();
  const { code, output } = await capture(command, [...first, 'run', '--silent', check]);
  say(`${check}: ${code === 0 ? 'ok' : `FAILED (exit ${code})`}`);
  if (code !== 0) console.error(`${output}\n  Again by itself: npm run ${check}`);
  return code === 0;
}

async function runJest(jestArgs) {
  const directory = mkdtempSync(join(tmpdir(), 'waybill-test-'));
  const report = join(directory, 'report.json');
  try {
    const code = await withServices(['--json', `--outputFile=${report}`, ...jestArgs]);
    return { code, ...countsIn(report, { code, jestArgs }) };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Jest with all services up and in its environment. */
export function withServices(jestArgs, env = {}) {
  const jest = ['node_modules/jest/bin/jest.js', ...jestArgs];
  return follow(process.execPath, ['scripts/services.mjs', 'exec', '--', process.execPath, ...jest], {
    ...quiet,
    ...env,
  });
}

function countsIn(report, { code, jestArgs }) {
  if (!existsSync(report)) {
    const interrupted = 'Interrupted before the tests were through.';
    const noStart = 'jest wrote no report: it, or a service, did not start. The reason is shown above.';
    console.error(code > 128 ? interrupted : noStart);
    return { passed: 0, failed: 1 };
  }
  const found = JSON.parse(readFileSync(report, 'utf8'));
  // A file that does not even load has no test to count, so it counts itself.
  const failed = found.numFailedTests + found.numRuntimeErrorTestSuites;
  // Selected away is no skip; in a whole run a test runs or fails.
  const skipped = jestArgs.length === 0 ? found.numPendingTests + found.numTodoTests : 0;
  if (skipped > 0) console.error(`${skipped} tests were skipped or left to do; in a whole run that counts as failed.`);
  return { passed: found.numPassedTests, failed: failed + skipped };
}
