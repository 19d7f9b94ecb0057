/** The processes that the waybill command can become. The only door from client to workers; each opens its code lazily. */
import type { Config } from './config';

export interface DevOptions {
  /** Where Temporal listens on 127.0.0.1. */
  readonly port: number;
  readonly uiPort: number;
  /** Temporal's SQLite file; everything survives a restart by it. Absent: in memory. */
  readonly dbFile?: string;
  readonly worker: boolean;
}

export interface AudioFeedProcess {
  readonly url: string;
  close(): Promise<void>;
}

/** Runs a worker until SIGTERM or SIGINT, then drains it. Resolves when drained. */
export async function runWorker(config: Config): Promise<void> {
  const { runWorkerProcess } = await import('./run-worker.js');
  await runWorkerProcess(config);
}

export interface DevProcess {
  readonly address: string;
  readonly uiUrl: string;
  /** Settles when the server or the worker ends by itself. */
  readonly ended: Promise<void>;
  /** Stops worker, then Temporal. */
  close(): Promise<void>;
}

/** An embedded Temporal server with UI, and a worker for every job. */
export async function startDev(config: Config, options: DevOptions): Promise<DevProcess> {
  const dev = await import('./dev.js');
  return await dev.startDev(config, options);
}

/** The sender's side: a folder of shows over HTTP. */
export async function startAudioFeed(config: Config): Promise<AudioFeedProcess> {
  const feed = await import('./audio-feed.js');
  return await feed.startConfiguredFeed(config);
}
