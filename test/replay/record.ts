/**
 * Plays the situations that have no history yet on a real server with a real worker, and writes their histories so that
 * nothing names this machine. One that is there stays as it is: it is of the code that recorded it.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client, type WorkflowHandle } from '@temporalio/client';
import { historyToJSON } from '@temporalio/common/lib/proto-utils';
import { startRecorder } from '../peers/recorder';
import { audioActivities } from '../support/activity';
import { newFolder } from '../support/folders';
import { startTemporal, startWorker, type TemporalServer } from '../support/temporal';
import { recallSituations } from './recall-situations';
import { recordRecall } from './record-recall';
import { recordSnapchain } from './record-snapchain';
import { renamed } from './rename';
import { snapchainSituations } from './snapchain-situations';
import { credentials, situations, token, type Stage } from './situations';

const taskQueue = 'waybill-audio@recording';
/** Of worker and client alike: with pid and host there, every recording would differ from the last. */
const identity = 'recording';

export async function recordHistories(folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const recorded = new Set(readdirSync(folder).map(situationOf));
  const missing = (names: object): string[] => Object.keys(names).filter((name) => !recorded.has(name));
  const [audio, recall, snapchain] = [situations, recallSituations, snapchainSituations].map(missing) as [
    string[],
    string[],
    string[],
  ];
  if (audio.length > 0) await onServer((server) => recordAudio(server, folder, audio));
  // A server each: the wallets are the same ones in all of them, and so are the ids of their lanes.
  for (const name of recall) await onServer((server) => recordRecall(server, folder, name));
  for (const name of snapchain) await onServer((server) => recordSnapchain(server, folder, name));
  execFileSync(process.execPath, [require.resolve('prettier/bin/prettier.cjs'), '--write', '--log-level=warn', folder]);
}

async function onServer(record: (server: TemporalServer) => Promise<void>): Promise<void> {
  const server = await startTemporal();
  try {
    await record(server);
  } finally {
    await server.stop();
  }
}

/** A situation has one file, `<name>.json`, or one for each run in it, `<name>.<workflow type>-<n>.json`. */
export const situationOf = (file: string): string => file.split('.')[0] ?? '';

async function recordAudio(server: TemporalServer, folder: string, names: readonly string[]): Promise<void> {
  const activities = audioActivities({ credentials: { [credentials]: { token } } });
  const worker = await startWorker(server, { taskQueue, identity, activities });
  const client = new Client({ connection: server.client.connection, identity });
  for (const name of names) {
    const recorder = await startRecorder();
    const stage: Stage = { client, recorder, localDir: newFolder('recv'), taskQueue, name };
    const run = await (situations[name] as (given: Stage) => Promise<WorkflowHandle>)(stage);
    if (name !== 'continued-as-new') await run.result();
    // historyToJSON fails with "type must be a Type" where npm has installed several copies of protobufjs: package.json
    // pins one among the devDependencies, which the packages of the SDK then share.
    const text = historyToJSON(await run.fetchHistory());
    writeFileSync(join(folder, `${name}.json`), `${anonymous(text, stage)}\n`);
    await recorder.stop();
  }
  await worker.stop();
}

/** Paths and ports as they might be anywhere; payloads included. */
function anonymous(history: string, { localDir, recorder }: Stage): string {
  return renamed(history, [
    [localDir, '/srv/copies'],
    [recorder.url, 'http://recorder:3000'],
    [new URL(recorder.url).host, 'recorder:3000'],
  ]);
}
