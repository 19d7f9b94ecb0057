/** `dev` and `worker`: what the command becomes a process of. */
import { startDev, runWorker } from '../../workers/processes';
import { exit } from '../exit';
import { given, onInterrupt } from '../interrupt';
import type { Call } from '../verb';

export async function worker({ config }: Call): Promise<number> {
  await runWorker(config);
  return exit.ok;
}

export async function dev({ config, options, output }: Call): Promise<number> {
  const dbFile = options['db'] as string | undefined;
  const interrupt = onInterrupt();
  const process = await startDev(config, {
    port: Number(options['port']),
    uiPort: Number(options['uiPort']),
    worker: options['worker'] !== false,
    ...(dbFile === undefined ? {} : { dbFile }),
  });
  output.answer({ address: process.address, ui: process.uiUrl }, [
    `Temporal  ${process.address}`,
    `UI        ${process.uiUrl}`,
  ]);
  if (process.address !== defaultAddress) output.say(`elsewhere: export TEMPORAL_ADDRESS=${process.address}`);
  output.say('Ctrl-C ends it');
  try {
    await Promise.race([process.ended, given(interrupt.signal)]);
  } finally {
    await process.close();
    interrupt.dispose();
  }
  return exit.ok;
}

/** Where the command looks when nobody says otherwise. */
const defaultAddress = '127.0.0.1:7233';
