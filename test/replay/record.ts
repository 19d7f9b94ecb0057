/** Plays the situations on a real server with a real worker, and writes their histories so that nothing names this machine. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from '@temporalio/client';
import { historyToJSON } from '@temporalio/common/lib/proto-utils';
import { startRecorder } from '../peers/recorder';
import { audioActivities } from '../support/activity';
import { newFolder } from '../support/folders';
import { startTemporal, startWorker } from '../support/temporal';
import { payloadsReplaced } from './payloads';
import { credentials, situations, token, type Stage } from './situations';

const taskQueue = 'waybill-audio@recording';
/** Of worker and client alike: with pid and host there, every recording would differ from the last. */
const identity = 'recording';

export async function recordHistories(folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const server = await startTemporal();
  const activities = audioActivities({ credentials: { [credentials]: { token } } });
  const worker = await startWorker(server, { taskQueue, identity, activities });
  const client = new Client({ connection: server.client.connection, identity });
  for (const [name, play] of Object.entries(situations)) {
    const recorder = await startRecorder();
    const stage: Stage = { client, recorder, localDir: newFolder('recv'), taskQueue, name };
    const run = await play(stage);
    if (name !== 'continued-as-new') await run.result();
    // historyToJSON fails with "type must be a Type" where npm has installed several copies of protobufjs: package.json
    // pins one among the devDependencies, which the packages of the SDK then share.
    const text = historyToJSON(await run.fetchHistory());
    writeFileSync(join(folder, `${name}.json`), `${anonymous(text, stage)}\n`);
    await recorder.stop();
  }
  await worker.stop();
  await server.stop();
  execFileSync(process.execPath, [require.resolve('prettier/bin/prettier.cjs'), '--write', '--log-level=warn', folder]);
}

/** Paths and ports as they might be anywhere; payloads included. */
function anonymous(history: string, { localDir, recorder }: Stage): string {
  const root = join(__dirname, '../..');
  const names: [string, string][] = [
    [localDir, '/srv/copies'],
    [recorder.url, 'http://recorder:3000'],
    [new URL(recorder.url).host, 'recorder:3000'],
    [`${root}/`, ''],
  ];
  const renamed = (text: string): string => names.reduce((result, [from, to]) => result.replaceAll(from, to), text);
  return JSON.stringify(payloadsReplaced(JSON.parse(renamed(history)), renamed), null, 2);
}
