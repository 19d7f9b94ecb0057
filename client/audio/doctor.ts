/** What a sync needs of this machine and of the sender: the folder can be written, the sender answers. */
import { accessSync, constants, existsSync, readFileSync, statfsSync } from 'node:fs';
import { get as httpGet } from 'node:http';
import { get as httpsGet } from 'node:https';
import { hostname } from 'node:os';
import { dirname, resolve } from 'node:path';
import type { Config } from '../../workers/config';
import { messageOf, no, yes, type Finding } from '../finding';
import { bytes, plural, withoutPassword } from '../format';

const senderMsMax = 5000;
/** Below this a sync of one long segment may not fit. */
const freeBytesMin = 1e9;

export async function audioFindings(config: Config): Promise<readonly Finding[]> {
  return [...folderFindings(config), ...(await senderFindings(config))];
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
