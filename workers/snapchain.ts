/** The snapchain job's activities as configured: one connection to the nodes and one pool a process, made when first asked for. */
import { readFileSync } from 'node:fs';
import { createSnapchainActivities, type Ready } from '../activities/snapchain/activities';
import { permanent } from '../activities/snapchain/failures';
import { loadHashing } from '../activities/snapchain/hashing';
import { connectNode } from '../activities/snapchain/node-client';
import { createPostgresDestination } from '../activities/snapchain/postgres-destination';
import { reasonOf } from '../activities/shared/failures';
import type { Config } from './config';
import { makeRoom } from './small-heap';
import type { Wiring } from './wiring';

export function snapchainWiring(config: Config): Wiring {
  let ready: Promise<Ready> | null = null;
  let close: () => Promise<void> = () => Promise.resolve();
  const prepare = async (signal: AbortSignal): Promise<Ready> => {
    makeRoom();
    await loadHashing();
    const [node, destination] = connected(config);
    close = async () => {
      node.close();
      await destination.close();
    };
    try {
      await destination.migrate(signal);
      const { numShards } = await node.info(signal);
      return { node, destination, numShards };
    } catch (error) {
      await close();
      throw error;
    }
  };
  const activities = createSnapchainActivities({
    ready: async (signal) => {
      // Who comes first may be given up: the next then begins anew.
      ready ??= prepare(signal).catch((error: unknown) => {
        ready = null;
        throw error;
      });
      return await ready;
    },
  });
  return { activities, ownQueue: true, singleFileQueues: [], close: () => close() };
}

function connected(config: Config): [Ready['node'], Ready['destination']] {
  const endpoints = config.get('snapchain.sync.snapchain_endpoint');
  const url = config.get('snapchain.database.url');
  const missing = (key: string, type: 'NodeRefused' | 'DatabaseRefused'): Error =>
    permanent(type, `nothing is configured on a worker of waybill-snapchain: set ${key} on every one of them`);
  if (endpoints.length === 0) throw missing('snapchain.sync.snapchain_endpoint', 'NodeRefused');
  if (url === '') throw missing('snapchain.database.url', 'DatabaseRefused');
  const destination = createPostgresDestination({
    url,
    maxConnections: config.get('snapchain.database.max_connections'),
  });
  const authorization = config.get('snapchain.credentials.authorization');
  const ca = config.get('snapchain.credentials.ca_file');
  try {
    const node = connectNode({
      endpoints,
      ...(authorization === '' ? {} : { metadata: { authorization } }),
      ...(ca === '' ? {} : { ca: readFileSync(ca) }),
    });
    return [node, destination];
  } catch (error) {
    throw permanent('NodeRefused', reasonOf(error), error);
  }
}
