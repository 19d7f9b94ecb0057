/** The demo's audio part: a sample recording, a sender that has it; then the verbs that a person would type. */
import { copyFileSync, existsSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../../workers/config';
import { startAudioFeed, type AudioFeedProcess } from '../../workers/processes';
import { CommandError, exit } from '../exit';
import { bytes } from '../format';
import type { Output } from '../output';
import type { Call } from '../verb';
import type { Scene } from '../verbs/demo';
import { runJob } from '../verbs/run';
import { audio } from './command';
import { verify } from './verify';

const sample = join(__dirname, '..', '..', '..', 'test', 'data', 'audio', 'harbour_radio.sqlite');
const show = 'harbour_radio';

export interface Sender {
  readonly url: string;
  /** Where the copies go. */
  readonly copies: string;
  close(): Promise<void>;
}

/** Two folders in `root`: what is sent, and what arrives. Throws CommandError where there is no sample. */
export async function startSender(
  root: string,
  output: Output,
  configOf: (flags: Call['given']) => Config,
): Promise<Sender> {
  if (!existsSync(sample))
    throw new CommandError(
      exit.failed,
      `the sample recording ${sample} is missing: run the demo from a whole checkout`,
    );
  const [recordings, copies] = [join(root, 'sender'), join(root, 'radio')];
  mkdirSync(recordings, { recursive: true });
  mkdirSync(copies);
  copyFileSync(sample, fileIn(recordings));
  const feed: AudioFeedProcess = await startAudioFeed(
    configOf({ 'audio.serve.dir': recordings, 'audio.serve.port': 0 }),
  );
  output.say(`\nSender    ${feed.url}  (${sizeOf(fileIn(recordings))}, one show)`);
  return { url: feed.url, copies, close: () => feed.close() };
}

/** The exit code of the first verb that did not do well. */
export async function showAudio({ url, copies }: Sender, { type, output }: Scene): Promise<number> {
  const given = { 'audio.remote_url': url, 'audio.local_dir': copies };
  const synced = await type(`waybill audio sync -r ${url} -l ${copies}`, (call) => runJob(audio, call), given);
  if (synced !== exit.ok) return synced;
  const verified = await type(`waybill audio verify -l ${copies}`, verify, given);
  output.say(`\nThe copy  ${fileIn(copies)}  (${sizeOf(fileIn(copies))})`);
  return verified;
}

const fileIn = (folder: string): string => join(folder, `${show}.sqlite`);
const sizeOf = (file: string): string => bytes(statSync(file).size);
