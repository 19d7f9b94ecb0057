/**
 * `demo`: jobs on real data, from nothing: Temporal with its UI, a worker, a sender of recordings; where `npm start` has brought
 * them, a database, an S3 store, a network and a snapchain node. Then the very verbs a person would type, and where to look at what they did.
 */
import { rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { loadConfig, type Config, type OptionKey } from '../../workers/config';
import { startDev, type DevProcess } from '../../workers/processes';
import { showAudio, startSender } from '../audio/demo';
import { exit } from '../exit';
import { patience } from '../flags';
import { shellWord } from '../format';
import { given, onInterrupt, type Interrupt } from '../interrupt';
import { showRecall } from '../recall/demo';
import { showSnapchain } from '../snapchain/demo';
import type { Call, Run } from '../verb';

/** What the parts of the demo share. */
export interface Scene {
  readonly output: Call['output'];
  /** A line as typed, and its verb on the demo's own Temporal; neither, once somebody has ended the demo. */
  readonly type: (line: string, verb: Run, given?: Settings, options?: Call['options']) => Promise<number>;
}

type Settings = Partial<Record<OptionKey, unknown>>;

export async function demo(call: Call): Promise<number> {
  const { output } = call;
  const { ends, withoutEnds } = call.options as { readonly ends?: string; readonly withoutEnds?: string };
  const interrupt = onInterrupt();
  // A folder of its own, made anew: nothing of an earlier demo is mistaken for this one's work.
  const root = join(tmpdir(), `waybill-demo-${userInfo().uid}`);
  rmSync(root, { recursive: true, force: true });
  output.say(`A recording server, Temporal, a worker; all here, all real. Everything is in ${root}`);
  const configOf = (flags: Settings): Config => configFor(ends, flags);
  const sender = await startSender(root, output, configOf);
  let dev: DevProcess | null = null;
  try {
    dev = await startEmbedded(configOf({}));
    output.say(`Temporal  ${dev.address}`);
    output.say(`UI        ${dev.uiUrl}`);
    const scene: Scene = { output, type: typedOn(dev, output, configOf, interrupt) };
    const codes = [await showAudio(sender, scene)];
    if (ends === undefined) output.say(`\n${absence(withoutEnds)}`);
    else codes.push(await showRecall(ends, scene), await showSnapchain(ends, scene));
    output.say(`\nThe runs  ${dev.uiUrl}/namespaces/default/workflows`);
    await untilLookedAt(call, dev, ends, interrupt);
    return worst(codes);
  } finally {
    await sender.close();
    await dev?.close();
    interrupt.dispose();
  }
}

/** On a terminal somebody may want to look around. */
async function untilLookedAt(
  { output }: Call,
  dev: DevProcess,
  ends: string | undefined,
  interrupt: Interrupt,
): Promise<void> {
  if (!output.terminal || !process.stdin.isTTY || interrupt.signal.aborted) return;
  const program = `node ${shellWord(process.argv[1] ?? 'waybill')}`;
  output.say(`\nStill up, for a look around; from another terminal:`);
  output.say(`  export TEMPORAL_ADDRESS=${dev.address}`);
  output.say(`  ${program} audio status`);
  if (ends !== undefined)
    for (const job of ['recall', 'snapchain']) output.say(`  ${program} ${job} status -c ${shellWord(ends)}`);
  output.say('Ctrl-C ends it.');
  await Promise.race([given(interrupt.signal), dev.ended]);
}

function absence(reason: string | undefined): string {
  return reason === undefined
    ? 'The recall and snapchain jobs have a demo too: `npm start`, in a checkout, brings the servers and the network they need.'
    : `The recall and snapchain jobs are left out, for what they need is not to be had here: ${reason}`;
}

/** Something that failed weighs more than something that was done in part. */
function worst(codes: readonly number[]): number {
  const bad = codes.filter((code) => code !== exit.ok);
  return bad.find((code) => code !== exit.partial) ?? bad[0] ?? exit.ok;
}

function typedOn(
  { address }: DevProcess,
  output: Call['output'],
  configOf: (flags: Settings) => Config,
  { signal }: Interrupt,
): Scene['type'] {
  const temporal = { address, namespace: 'default', connectionOptions: { address } };
  return async (line, verb, flags = {}, more = {}) => {
    if (signal.aborted) return exit.interrupted;
    output.say(`\n$ ${line}`);
    const command = line.split(' ').slice(0, 3).join(' ');
    const options = { unreachableAfter: patience.default, ...more };
    const code = await verb({ command, temporal, output, given: flags, config: configOf(flags), options });
    // It may have come before the verb listened: what was not done is not to be taken for done.
    return signal.aborted ? exit.interrupted : code;
  };
}

/** As this machine has it, but quiet, and without what a settings file says of other senders. `file`: what the other jobs move between. */
function configFor(file: string | undefined, flags: Settings): Config {
  return loadConfig({
    env: {},
    ...(file === undefined ? {} : { file }),
    flags: {
      'worker.listen': '',
      'worker.log_level': 'error',
      'worker.jobs': file === undefined ? ['audio'] : ['audio', 'recall', 'snapchain'],
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

async function startEmbedded(config: Config): Promise<DevProcess> {
  const port = await portOrFree(7233);
  return await startDev(config, { port, uiPort: await portOrFree(8233), worker: true });
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
