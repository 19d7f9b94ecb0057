/** What a snapchain worker configured as this process is needs of its surroundings, as far as a look from outside can tell. */
import { connect } from 'node:net';
import type { Config } from '../../workers/config';
import { messageOf, no, yes, type Finding } from '../finding';
import { plural } from '../format';

const answerMsMax = 5000;

/** Nothing where neither node nor database is configured: the worker is elsewhere, and so is its doctor. */
export async function snapchainFindings(config: Config): Promise<readonly Finding[]> {
  const url = config.get('snapchain.database.url');
  const nodes = config.get('snapchain.sync.snapchain_endpoint').map(nodeFinding);
  const database =
    url === '' || !URL.canParse(url)
      ? []
      : [
          reached(
            'database',
            new URL(url).hostname,
            Number(new URL(url).port || '5432'),
            'start PostgreSQL, or correct snapchain.database.url',
          ),
        ];
  return await Promise.all([...nodes, ...database]);
}

async function nodeFinding(endpoint: string): Promise<Finding> {
  const fix = 'start the node, or correct snapchain.sync.snapchain_endpoint';
  const address = /^[a-z]+:\/\//i.test(endpoint) ? endpoint : `http://${endpoint}`;
  if (!URL.canParse(address)) return no('node', `${endpoint}: not an address`, fix);
  const { hostname, port, protocol } = new URL(address);
  return await reached('node', hostname, Number(port || (protocol === 'https:' ? 443 : 3383)), fix);
}

async function reached(check: string, host: string, port: number, fix: string): Promise<Finding> {
  const at = `${host}:${port}`;
  try {
    // In an address IPv6 stands in brackets; a socket wants it without.
    await connected(host.replace(/^\[|\]$/g, ''), port);
    return yes(check, `${at} answers`);
  } catch (error) {
    return no(check, `${at}: ${messageOf(error)}`, fix);
  }
}

function connected(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, timeout: answerMsMax });
    const late = new Error(`no answer within ${plural(answerMsMax / 1000, 'second')}`);
    socket.once('connect', () => resolve());
    socket.once('timeout', () => reject(late));
    socket.once('error', reject);
    socket.once('connect', () => socket.destroy());
    socket.once('timeout', () => socket.destroy());
  });
}
