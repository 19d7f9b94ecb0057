/** The audio feed as configured: what `waybill audio serve` runs. */
import { existsSync, readFileSync } from 'node:fs';
import pino from 'pino';
import { startAudioFeed } from '../servers/audio-feed';
import { ConfigError, type Config } from './config';
import type { AudioFeedProcess } from './processes';

/** Throws ConfigError for a folder or key that cannot be had, and the network's error for a port that is taken. */
export async function startConfiguredFeed(config: Config): Promise<AudioFeedProcess> {
  const dir = config.get('audio.serve.dir');
  if (dir === '') throw new ConfigError('audio.serve.dir is not set: name the folder of recordings, --dir DIR');
  if (!existsSync(dir)) throw new ConfigError(`audio.serve.dir is ${dir}: there is no such folder`);
  const token = config.get('audio.serve.token');
  const tls = tlsFiles(config);
  return await startAudioFeed({
    dir,
    host: config.get('audio.serve.host'),
    port: config.get('audio.serve.port'),
    encoding: config.get('audio.serve.encoding'),
    limitMax: config.get('audio.serve.limit_max'),
    log: pino(
      { level: config.get('worker.log_level'), base: null, timestamp: pino.stdTimeFunctions.isoTime },
      pino.destination(2),
    ),
    ...(token === '' ? {} : { token }),
    ...(tls === null ? {} : { tls }),
  });
}

function tlsFiles(config: Config): { certFile: string; keyFile: string } | null {
  const certFile = config.get('audio.serve.tls_cert_file');
  const keyFile = config.get('audio.serve.tls_key_file');
  if (certFile === '' && keyFile === '') return null;
  if (certFile === '' || keyFile === '')
    throw new ConfigError('https needs both audio.serve.tls_cert_file and audio.serve.tls_key_file');
  for (const [key, file] of [
    ['audio.serve.tls_cert_file', certFile],
    ['audio.serve.tls_key_file', keyFile],
  ] as const) {
    try {
      readFileSync(file);
    } catch (error) {
      throw new ConfigError(`${key} is ${file}: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    }
  }
  return { certFile, keyFile };
}
