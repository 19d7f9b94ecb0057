/** What a snapchain worker configured as this process is needs of its surroundings, as far as a look from outside can tell. */
import type { Config } from '../../workers/config';
import { no, type Finding } from '../finding';
import { reached, type Place } from '../reached';

/** Nothing where neither node nor database is configured: the worker is elsewhere, and so is its doctor. */
export async function snapchainFindings(config: Config): Promise<readonly Finding[]> {
  const url = config.get('snapchain.database.url');
  const nodes = config.get('snapchain.sync.snapchain_endpoint').map(nodeFinding);
  const database =
    url === '' || !URL.canParse(url)
      ? []
      : [reached('database', placeOf(new URL(url), '5432'), 'start PostgreSQL, or correct snapchain.database.url')];
  return await Promise.all([...nodes, ...database]);
}

async function nodeFinding(endpoint: string): Promise<Finding> {
  const fix = 'start the node, or correct snapchain.sync.snapchain_endpoint';
  const address = /^[a-z]+:\/\//i.test(endpoint) ? endpoint : `http://${endpoint}`;
  if (!URL.canParse(address)) return no('node', `${endpoint}: not an address`, fix);
  const url = new URL(address);
  return await reached('node', placeOf(url, url.protocol === 'https:' ? '443' : '3383'), fix);
}

function placeOf({ hostname, port }: URL, usualPort: string): Place {
  const found = port || usualPort;
  return { at: `${hostname}:${found}`, host: hostname, port: Number(found) };
}
