/** `node dist/workers/main.js`: a worker, configured by environment and waybill.toml alone. What containers run. */
import { loadConfig } from './config';
import { runWorker } from './processes';

async function main(): Promise<void> {
  await runWorker(loadConfig());
}

/** By error name, as the command has them: configuration, unreachable. */
const exitCodes: Readonly<Record<string, number>> = { ConfigError: 3, UnreachableTemporal: 4 };

main().catch((error: unknown) => {
  const code = error instanceof Error ? exitCodes[error.name] : undefined;
  const text = error instanceof Error ? (code === undefined ? error.stack : error.message) : error;
  process.stderr.write(`waybill worker: ${String(text)}\n`);
  process.exitCode = code ?? 1;
});
