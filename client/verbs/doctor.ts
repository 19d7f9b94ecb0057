/** `doctor`: what a run needs, checked one by one, each "no" with what to do. */
import { accessSync, constants, existsSync, readFileSync, statfsSync } from 'node:fs';
import { get as httpGet } from 'node:http';
import { get as httpsGet } from 'node:https';
import { hostname } from 'node:os';
import { dirname, resolve } from 'node:path';
import type { Config } from '../../workers/config';
import { syncJobAttribute, syncStateAttribute, taskQueue } from '../../workflows/shared/names';
import { connect, type Temporal } from '../connect';
import { exit } from '../exit';
import { bytes, plural, table, withoutPassword } from '../format';
import { pollersOf } from '../pollers';
import type { Call } from '../verb';

export interface Finding {
  readonly check: string;
  readonly ok: boolean;
  readonly found: string;
  /** Empty when ok. */
  readonly fix: string;
}

const nodeMin = [20, 19] as const;
const senderMsMax = 5000;
/** Below this a sync of one long segment may not fit. */
const freeBytesMin = 1e9;

export async function doctor(call: Call): Promise<number> {
  const { config, output } = call;
  const findings: Finding[] = [
    nodeVersion(process.versions.node),
    yes('configuration', config.file ?? 'no file; flags, environment and defaults'),
  ];
  const temporal = await connect(call.temporal).catch((error: unknown) => {
    findings.push(no('Temporal', messageOf(error), 'start one with `waybill dev`, or set TEMPORAL_ADDRESS'));
    return null;
  });
  if (temporal !== null) {
    findings.push(yes('Temporal', `${temporal.address}, namespace ${temporal.namespace}`));
    findings.push(...(await temporalFindings(temporal, config)));
    await temporal.close();
  }
  findings.push(...folderFindings(config), ...(await senderFindings(config)));
  const healthy = findings.every(({ ok }) => ok);
  output.answer({ healthy, findings }, table(findings.map(({ check, ok, found }) => [ok ? 'ok' : 'NO', check, found])));
  for (const { check, ok, fix } of findings) if (!ok) output.say(`${check}: ${fix}`);
  return healthy ? exit.ok : exit.failed;
}

const yes = (check: string, found: string): Finding => ({ check, ok: true, found, fix: '' });
const no = (check: string, found: string, fix: string): Finding => ({ check, ok: false, found, fix });
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

export function nodeVersion(version: string): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const isNew = major > nodeMin[0] || (major === nodeMin[0] && minor >= nodeMin[1]);
  return isNew ? yes('Node', version) : no('Node', version, `install Node ${nodeMin.join('.')} or newer`);
}

async function temporalFindings(temporal: Temporal, config: Config): Promise<Finding[]> {
  const { client, namespace } = temporal;
  try {
    await client.workflowService.describeNamespace({ namespace });
  } catch (error) {
    const create = `correct TEMPORAL_NAMESPACE, or \`temporal operator namespace create -n ${namespace}\``;
    return [no('namespace', `${namespace}: ${messageOf(error)}`, create)];
  }
  const findings = [await searchAttributes(temporal)];
  for (const kind of config.get('worker.jobs')) {
    const queue = taskQueue(kind, config.get('worker.host'));
    const pollers = await pollersOf(client, queue);
    const start = `\`waybill worker --job ${kind}\` on that host, or \`waybill dev\``;
    const check = `worker of ${queue}`;
    findings.push(pollers.length > 0 ? yes(check, pollers.join(', ')) : no(check, 'nobody polls', start));
  }
  return findings;
}

async function searchAttributes({ client, namespace }: Temporal): Promise<Finding> {
  const check = 'search attributes';
  const wanted = [syncJobAttribute, syncStateAttribute];
  const register = wanted
    .map((name) => `temporal operator search-attribute create --name ${name} --type Keyword`)
    .join(' && ');
  try {
    const { customAttributes } = await client.connection.operatorService.listSearchAttributes({ namespace });
    const missing = wanted.filter((name) => customAttributes?.[name] === undefined);
    if (missing.length === 0) return yes(check, wanted.join(', '));
    return no(check, `missing: ${missing.join(', ')}`, `a starting worker registers them; or: ${register}`);
  } catch (error) {
    return no(check, messageOf(error), register);
  }
}

/** Of this host's folder only: another host's is that host's doctor's. */
function folderFindings(config: Config): Finding[] {
  const given = config.get('audio.local_dir');
  if (given === '' || config.get('worker.host') !== hostname()) return [];
  const check = 'audio.local_dir';
  const dir = resolve(given);
  const there = nearestExisting(dir);
  try {
    accessSync(there, constants.W_OK | constants.X_OK);
  } catch (error) {
    return [no(check, messageOf(error), `let the worker’s user write in ${there}, or choose another folder`)];
  }
  const { bavail, bsize } = statfsSync(there);
  const free = bavail * bsize;
  const found = `${dir}${there === dir ? '' : ' (to be made)'}, ${bytes(free)} free`;
  return [free >= freeBytesMin ? yes(check, found) : no(check, found, 'make room: a full disk blocks the run')];
}

function nearestExisting(path: string): string {
  return existsSync(path) || dirname(path) === path ? path : nearestExisting(dirname(path));
}

async function senderFindings(config: Config): Promise<Finding[]> {
  const url = config.get('audio.remote_url');
  if (url === '') return [];
  const check = 'sender';
  const shown = withoutPassword(url);
  try {
    const { caFile } = config.credentials[config.get('audio.use_credentials')] ?? {};
    const status = await statusOf(new URL(`${url.replace(/\/+$/, '')}/health`), caFile);
    if (status === 200) return [yes(check, shown)];
    return [
      no(check, `GET ${shown}/health: ${status}`, 'is that a recording server’s address? Look at audio.remote_url'),
    ];
  } catch (error) {
    return [
      no(
        check,
        `GET ${shown}/health: ${messageOf(error)}`,
        'start it (`waybill audio serve --dir DIR`), or correct audio.remote_url',
      ),
    ];
  }
}

function statusOf(url: URL, caFile: string | undefined): Promise<number> {
  return new Promise((resolve, reject) => {
    const options = { timeout: senderMsMax, ...(caFile === undefined ? {} : { ca: readFileSync(caFile) }) };
    const request = (url.protocol === 'https:' ? httpsGet : httpGet)(url, options, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    request.on('timeout', () => request.destroy(new Error(`no answer within ${plural(senderMsMax / 1000, 'second')}`)));
    request.on('error', reject);
  });
}
