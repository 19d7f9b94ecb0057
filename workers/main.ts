/** `node dist/workers/main.js`: a worker, configured by environment and waybill.toml alone. What containers run. */
import { loadConfig } from './config';
import { runWorker } from './processes';

async function main(): Promise<void> {
  await runWorker(loadConfig());
}

main().catch((error: unknown) => {
  const known = error instanceof Error && ['ConfigError', 'UnreachableTemporal'].includes(error.name);
  process.stderr.write(
    `waybill worker: ${known ? error.message : String(error instanceof Error ? error.stack : error)}\n`,
  );
  process.exitCode =
    error instanceof Error && error.name === 'ConfigError'
      ? 3
      : error instanceof Error && error.name === 'UnreachableTemporal'
        ? 4
        : 1;
});
