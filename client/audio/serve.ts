/** `audio serve`: the sender's side, until Ctrl-C. */
import { startAudioFeed } from '../../workers/processes';
import { exit } from '../exit';
import { given, onInterrupt } from '../interrupt';
import type { Call } from '../verb';

export async function serve({ config, output }: Call): Promise<number> {
  const interrupt = onInterrupt();
  const feed = await startAudioFeed(config);
  output.answer({ url: feed.url }, [feed.url]);
  output.say(`a receiver: waybill audio sync -r ${feed.url} -l DIR; Ctrl-C ends it`);
  await given(interrupt.signal);
  interrupt.dispose();
  await feed.close();
  return exit.ok;
}
