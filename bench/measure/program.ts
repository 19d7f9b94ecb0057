/** A benchmark as a program: with its servers, its folder, its figures on stdout, and nothing left behind. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stopAll } from './processes';

export interface Bench {
  /** The job's. */
  readonly name: string;
  /** The program's own file: it is started once more where its servers are not there yet. */
  readonly file: string;
  /** As scripts/services.mjs has them, with commas; PostgreSQL among them. */
  readonly services: string;
  /** Throws for flags that are none; the rest goes on with what it gives. */
  readonly chosen: () => {
    readonly output: string;
    readonly measure: (dir: string) => Promise<Record<string, number>>;
  };
  readonly text: (figures: Record<string, number>) => string;
}

export function runBench(bench: Bench): void {
  measured(bench).catch((error: unknown) => {
    // Interrupted: that the children are gone is no news.
    if (process.exitCode === undefined)
      process.stderr.write(`bench ${bench.name}: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(process.exitCode ?? 1);
  });
}

async function measured({ file, services, chosen, text }: Bench): Promise<void> {
  const { output, measure } = chosen();
  if (process.env['WAYBILL_TEST_POSTGRES_URL'] === undefined) return await withServices(file, services);
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
    const figures = await measure(dir);
    process.stdout.write(output === 'json' ? `${JSON.stringify(figures)}\n` : text(figures));
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
