/** A benchmark as a program: with its servers, its folder, its figures on stdout, and nothing left behind. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stopAll } from './processes';

export interface Bench<Options extends { readonly output: string }, Figures> {
  /** The job's. */
  readonly name: string;
  /** The program's own file: it is started once more where its servers are not there yet. */
  readonly file: string;
  /** As scripts/services.mjs has them, with commas; PostgreSQL among them. Null: it needs none. */
  readonly services: string | null;
  /** Throws for flags that are none. */
  readonly chosen: () => Options;
  readonly measure: (dir: string, options: Options) => Promise<Figures>;
  readonly text: (figures: Figures) => string;
  /** What is told instead of the figures themselves. */
  readonly json?: (figures: Figures) => object;
}

export function runBench<Options extends { readonly output: string }, Figures>(bench: Bench<Options, Figures>): void {
  measured(bench).catch((error: unknown) => {
    // Interrupted: that the children are gone is no news.
    if (process.exitCode === undefined)
      process.stderr.write(`bench ${bench.name}: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(process.exitCode ?? 1);
  });
}

async function measured<Options extends { readonly output: string }, Figures>({
  file,
  services,
  chosen,
  measure,
  text,
  json,
}: Bench<Options, Figures>): Promise<void> {
  const options = chosen();
  if (services !== null && process.env['WAYBILL_TEST_POSTGRES_URL'] === undefined)
    return await withServices(file, services);
  const dir = mkdtempSync(join(tmpdir(), 'waybill-bench-'));
  const close = async (): Promise<void> => {
    await stopAll();
    rmSync(dir, { recursive: true, force: true });
  };
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.once(name, () => {
      process.exitCode = name === 'SIGINT' ? 130 : 143;
      void close().finally(() => process.exit());
    });
  try {
    const figures = await measure(dir, options);
    process.stdout.write(options.output === 'json' ? `${JSON.stringify(json?.(figures) ?? figures)}\n` : text(figures));
  } finally {
    await close();
  }
}

/** From scripts/services.mjs: the program once more, with the servers' addresses. */
async function withServices(file: string, services: string): Promise<void> {
  const program = join(__dirname, '..', '..', '..', 'scripts', 'services.mjs');
  const args = [program, 'exec', services, '--', process.execPath, file, ...process.argv.slice(2)];
  const [code] = (await once(spawn(process.execPath, args, { stdio: 'inherit' }), 'exit')) as [number | null];
  process.exitCode = code ?? 1;
}
