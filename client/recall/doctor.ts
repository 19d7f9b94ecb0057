/** What a recall worker configured as this process is needs of its surroundings, as far as a look from outside can tell. */
import type { Config } from '../../workers/config';
import { no, yes, type Finding } from '../finding';
import { plural } from '../format';
import { postgresReached, reached } from '../reached';

/** Nothing where no database is configured: the worker is elsewhere, and so is its doctor. */
export async function recallFindings(config: Config): Promise<readonly Finding[]> {
  const url = config.get('recall.database.url');
  if (url === '' || !URL.canParse(url)) return [];
  // Login, table and rights are the worker's to try: it says what is missing when a run begins.
  const database = postgresReached(url, 'start PostgreSQL, or correct recall.database.url');
  const findings = await Promise.all([database, storeFinding(config)]);
  return [...findings.flat(), ...walletFindings(config)];
}

async function storeFinding(config: Config): Promise<Finding[]> {
  const endpoint = config.get('recall.s3.endpoint');
  if (config.get('recall.s3.bucket') === '' || endpoint === '') return [];
  const fix = 'start the S3 server, or correct recall.s3.endpoint';
  if (!URL.canParse(endpoint)) return [no('S3', `${endpoint}: not an address`, 'correct recall.s3.endpoint')];
  const { hostname, port, protocol, host } = new URL(endpoint);
  return [
    await reached('S3', { at: host, host: hostname, port: Number(port || (protocol === 'https:' ? 443 : 80)) }, fix),
  ];
}

function walletFindings(config: Config): Finding[] {
  const check = 'wallets';
  const owner = config.get('recall.recall.private_key');
  const delegates = config.get('recall.recall.delegate_keys').length;
  const addresses = config.get('recall.recall.addresses').length;
  if (owner === '' && addresses > 0) return [yes(check, `${addresses} by address, no key: this worker does not sign`)];
  if (owner === '')
    return [
      no(check, 'no key', 'set recall.recall.private_key_file, or RECALL_PRIVATE_KEY: a job without one is blocked'),
    ];
  const sign = config.get('recall.recall.sign');
  const signs = {
    true: 'this worker signs',
    false: 'this worker does not sign',
    only: 'this worker does nothing but sign',
  }[`${sign}`];
  return [yes(check, `an owner, ${plural(delegates, 'delegate')}; ${signs}`)];
}
