/** The demo's snapchain part: a real node's recording brought into PostgreSQL and proved, by the verbs a person would type. */
import { exit } from '../exit';
import { shellWord } from '../format';
import type { Scene } from '../verbs/demo';
import { runJob } from '../verbs/run';
import { jobStatus } from '../verbs/status';
import { snapchain } from './command';
import { verify } from './verify';

/** `file`: settings that name node and database. The exit code of the first verb that did not do well. */
export async function showSnapchain(file: string, { type }: Scene): Promise<number> {
  const where = `-c ${shellWord(file)}`;
  const given = { 'snapchain.sync.enable_realtime_sync': false } as const;
  const ran = await type(`waybill snapchain run --follow false ${where}`, (call) => runJob(snapchain, call), given);
  if (ran !== exit.ok) return ran;
  const verified = await type(`waybill snapchain verify ${where}`, verify);
  const told = await type(`waybill snapchain status ${where}`, (call) => jobStatus(snapchain, call));
  return verified === exit.ok ? told : verified;
}
