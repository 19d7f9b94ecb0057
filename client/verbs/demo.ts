/**
 * `demo`: one job on real data, from nothing: a sample recording, a sender, Temporal with its UI, a worker; then the very
 * verbs a person would type, and where to look at what they did.
 */
import { copyFileSync, existsSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { loadConfig, type Config, type OptionKey } from '../../workers/config';
import { startAudioFeed, startDev, type AudioFeedProcess, type DevProcess } from '../../workers/processes';
import { audio } from '../audio/command';
import { verify } from '../audio/verify';
import { CommandError, exit } from '../exit';
import { bytes } from '../format';
import { given, onInterrupt, type Interrupt } from '../interrupt';
import { patience } from '../flags';
import type { Call } from '../verb';
import { runJob } from './run';

const sample = join(__dirname, '..', '..', '..', 'test', 'data', 'audio', 'harbour_radio.sqlite');
const show = 'harbour_radio';

interface Folders {
  readonly root: string;
  readonly recordings: string;
  readonly copies: string;
}

export async function demo(call: Call): Promise<number> {
  const { output } = call;
  const interrupt = onInterrupt();
  const folders = prepare();
  const step = (line: string): void => output.say(`\n${line}`);
  output.say(`A recording server, Temporal, a worker; all here, all real. Everything is in ${folders.root}`);
  const feed = await startAudioFeed(configOf({ 'audio.serve.dir': folders.recordings, 'audio.serve.port': 0 }));
  let dev: DevProcess | null = null;
  try {
    dev = await startEmbedded();
    step(`Sender    ${feed.url}  (${bytes(statSync(join(folders.recordings, `${show}.sqlite`)).size)}, one show)`);
    output.say(`Temporal  ${dev.address}`);
    output.say(`UI        ${dev.uiUrl}`);
    const code = await syncAndVerify(call, folders, feed, dev, step);
    await untilLookedAt(call, dev, interrupt);
    return code;
  } finally {
    await feed.close();
    await dev?.close();
    interrupt.dispose();
  }
}

async function syncAndVerify(
  call: Call,
  { copies }: Folders,
  feed: AudioFeedProcess,
  dev: DevProcess,
  step: (line: string) => void,
): Promise<number> {
  const given: Call['given'] = { 'audio.remote_url': feed.url, 'audio.local_dir': copies };
  const typed: Call = {
    ...call,
    options: { unreachableAfter: patience.default },
    given,
    config: configOf(given),
    temporal: { address: dev.address, namespace: 'default', connectionOptions: { address: dev.address } },
  };
  step(`$ waybill audio sync -r ${feed.url} -l ${copies}`);
  const synced = await runJob(audio, { ...typed, command: 'waybill audio sync' });
  if (synced !== exit.ok) return synced;
  step(`$ waybill audio verify -l ${copies}`);
  const verified = await verify({ ...typed, command: 'waybill audio verify' });
  step(`The copy  ${join(copies, `${show}.sqlite`)}  (${bytes(statSync(join(copies, `${show}.sqlite`)).size)})`);
  call.output.say(`Its run   ${dev.uiUrl}/namespaces/default/workflows`);
  return verified;
}

/** On a terminal somebody may want to look around. */
async function untilLookedAt({ output }: Call, dev: DevProcess, interrupt: Interrupt): Promise<void> {
  if (!output.terminal || !process.stdin.isTTY) return;
  output.say(`\nStill up, for a look around; from another terminal:`);
  output.say(`  export TEMPORAL_ADDRESS=${dev.address}; node ${process.argv[1] ?? 'waybill'} audio status`);
  output.say('Ctrl-C ends it.');
  await Promise.race([given(interrupt.signal), dev.ended]);
}

/** A folder of its own, made anew: nothing of an earlier demo is mistaken for this one's work. */
function prepare(): Folders {
  if (!existsSync(sample))
    throw new CommandError(
      exit.failed,
      `the sample recording ${sample} is missing: run the demo from a whole checkout`,
    );
  const root = join(tmpdir(), `waybill-demo-${userInfo().uid}`);
  const folders = { root, recordings: join(root, 'sender'), copies: join(root, 'radio') };
  rmSync(root, { recursive: true, force: true });
  mkdirSync(folders.recordings, { recursive: true });
  mkdirSync(folders.copies);
  copyFileSync(sample, join(folders.recordings, `${show}.sqlite`));
  return folders;
}

/** As this machine has it, but quiet, and without what a settings file says of other senders. */
function configOf(flags: Partial<Record<OptionKey, unknown>>): Config {
  return loadConfig({
    env: {},
    flags: {
      'worker.listen': '',
      'worker.log_level': 'warn',
      'worker.jobs': ['audio'],
      'audio.shows': [],
      'audio.use_credentials': '',
      'audio.serve.token': '',
      'audio.serve.host': '127.0.0.1',
      'audio.serve.tls_cert_file': '',
      'audio.serve.tls_key_file': '',
      ...flags,
    },
  });
}

async function startEmbedded(): Promise<DevProcess> {
  const port = await portOrFree(7233);
  return await startDev(configOf({}), { port, uiPort: await portOrFree(8233), worker: true });
}

/** The port everybody knows, or, where that is taken, one that is free. */
function portOrFree(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' && port !== 0) portOrFree(0).then(resolve, reject);
      else reject(error);
    });
    server.listen(port, '127.0.0.1', () => {
      const { port: found } = server.address() as AddressInfo;
      server.close(() => resolve(found));
    });
  });
}
