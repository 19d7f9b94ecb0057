/** The demo's recall part: rows and S3 objects brought into a bucket, read back, and looked at, by the verbs a person would type. */
import { exit } from '../exit';
import { shellWord } from '../format';
import type { Scene } from '../verbs/demo';
import { runJob } from '../verbs/run';
import { jobStatus } from '../verbs/status';
import { recall } from './command';
import { verify } from './verify';

/** `file`: settings that name the two ends. The exit code of the first verb that did not do well. */
export async function showRecall(file: string, { callOf, output }: Scene): Promise<number> {
  const type = (verb: string): void => output.say(`\n$ waybill recall ${verb} -c ${shellWord(file)}`);
  type('run');
  // The rows are there before the job is: none can slip in behind another.
  const ran = await runJob(recall, callOf('waybill recall run'));
  if (ran !== exit.ok) return ran;
  type('verify --bytes');
  const verified = await verify(callOf('waybill recall verify', {}, { bytes: true }));
  type('status');
  const told = await jobStatus(recall, callOf('waybill recall status'));
  return verified === exit.ok ? told : verified;
}
