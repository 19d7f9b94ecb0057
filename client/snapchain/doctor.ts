/** What a snapchain worker configured as this process is needs of its surroundings, as far as a look from outside can tell. */
import type { Config } from '../../workers/config';
import { no, type Finding } from '../finding';
import { placeOf, postgresReached, reached } from '../reached';

/** Nothing where neither node nor database is configured: the worker is elsewhere, and so is its doctor. */
export async function snapchainFindings(config: Config): Promise<readonly Finding[]> {
  const url = config.get('snapchain.database.url');
  const nodes = config.get('snapchain.sync.snapchain_endpoint').map(nodeFinding);
  const fix = 'start PostgreSQL, or correct snapchain.database.url';
  const database = url === '' || !URL.canParse(url) ? [] : await postgresReached(url, fix);
  return [...(await Promise.all(nodes)), ...database];
}

async function nodeFinding(endpoint: string): Promise<Finding> {
  const fix = 'start the node, or correct snapchain.sync.snapchain_endpoint';
  const address = /^[a-z]+:\/\//i.test(endpoint) ? endpoint : `http://${endpoint}`;
  if (!URL.canParse(address)) return no('node', `${endpoint}: not an address`, fix);
  const url = new URL(address);
  return await reached('node', placeOf(url, url.protocol === 'https:' ? '443' : '3383'), fix);
}
