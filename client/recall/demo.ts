/** The demo's recall part: rows and S3 objects brought into a bucket, read back, and looked at, by the verbs a person would type. */
import { exit } from '../exit';
import { shellWord } from '../format';
import type { Scene } from '../verbs/demo';
import { runJob } from '../verbs/run';
import { jobStatus } from '../verbs/status';
import { recall } from './command';
import { verify } from './verify';

/** `file`: settings that name the two ends. The exit code of the first verb that did not do well. */
export async function showRecall(file: string, { type }: Scene): Promise<number> {
  const where = `-c ${shellWord(file)}`;
  const ran = await type(`waybill recall run ${where}`, (call) => runJob(recall, call));
  if (ran !== exit.ok) return ran;
  const verified = await type(`waybill recall verify --bytes ${where}`, verify, {}, { bytes: true });
  const told = await type(`waybill recall status ${where}`, (call) => jobStatus(recall, call));
  return verified === exit.ok ? told : verified;
}
