/**
 * The recall job's activities as configured: one source a process, one network a name, each made when it is first asked for.
 * A worker starts with nothing configured, too: what is missing is said by the run that needs it.
 */
import { getAddress } from 'viem';
import { createRecallActivities } from '../activities/recall/activities';
import { permanent } from '../activities/recall/failures';
import { networkAddress } from '../activities/recall/networks';
import { createPostgresSource, type SourceSettings } from '../activities/recall/postgres-source';
import { createRecallNetwork, type ClosableNetwork } from '../activities/recall/recall-network';
import type { ObjectSource } from '../activities/recall/source';
import { reasonOf } from '../activities/shared/failures';
import { createWallet, type Wallet } from '../activities/recall/wallet';
import { walletQueue } from '../workflows/shared/names';
import { ConfigError, type Config } from './config';
import type { Wiring } from './wiring';

/** Throws ConfigError for keys that are none, and where there are none for a worker that does nothing but sign. */
export function recallWiring(config: Config): Wiring {
  const key = config.get('recall.recall.private_key');
  const wallets = walletsOf([...(key === '' ? [] : [key]), ...config.get('recall.recall.delegate_keys')]);
  const sign = config.get('recall.recall.sign');
  if (sign === 'only' && wallets.length === 0)
    throw new ConfigError(
      'recall.recall.sign is "only", and there is no key to sign with: set recall.recall.private_key_file',
    );
  const addresses = addressesOf(config, key === '' ? [] : wallets);
  const networks = new Map<string, ClosableNetwork>();
  let source: ObjectSource | null = null;
  const activities = createRecallActivities({
    source: () => (source ??= sourceOf(config)),
    network: (name) => {
      const known = networks.get(name);
      if (known !== undefined) return known;
      const network = createRecallNetwork(name, networkAddress(name, config.get('recall.recall.config_path')));
      networks.set(name, network);
      return network;
    },
    wallets: sign === false ? [] : wallets,
    addresses: () => {
      const [owner, ...delegates] = addresses;
      if (owner !== undefined) return [owner, ...delegates];
      throw permanent(
        'WalletRefused',
        'no wallet is configured on a worker of waybill-recall: set recall.recall.private_key_file, or RECALL_PRIVATE_KEY, on those that sign, and recall.recall.addresses with recall.recall.sign = false on those that do not',
      );
    },
  });
  return {
    activities,
    ownQueue: sign !== 'only',
    singleFileQueues: sign === false ? [] : wallets.map(({ address }) => walletQueue(address)),
    close: async () => {
      for (const network of networks.values()) network.close();
      await source?.close();
    },
  };
}

/** The bucket's owner first. Throws ConfigError where keys and addresses are given and are not each other's. */
function addressesOf(config: Config, wallets: readonly Wallet[]): readonly string[] {
  const given = config.get('recall.recall.addresses').map((address) => getAddress(address));
  const known = wallets.map(({ address }) => address);
  if (given.length === 0 || known.length === 0) return given.length === 0 ? known : given;
  if (given.join() === known.join()) return known;
  throw new ConfigError(
    `recall.recall.addresses: ${given.join(', ')} are not those of private_key and delegate_keys, ${known.join(', ')}`,
  );
}

/** A key that is given twice is one wallet: it has one queue and one share. */
function walletsOf(keys: readonly string[]): Wallet[] {
  try {
    return [...new Set(keys)].map((key) => createWallet(key));
  } catch (error) {
    throw new ConfigError(`recall.recall.private_key, delegate_keys: ${reasonOf(error)}`, { cause: error });
  }
}

function sourceOf(config: Config): ObjectSource {
  const url = config.get('recall.database.url');
  if (url === '')
    throw permanent(
      'SourceRefused',
      'no database is configured on a worker of waybill-recall: set recall.database.url, or WAYBILL_RECALL_DATABASE_URL, on every one of them',
    );
  const bucket = config.get('recall.s3.bucket');
  return createPostgresSource({
    database: {
      url,
      maxConnections: config.get('recall.database.max_connections'),
      table: config.get('recall.database.table'),
    },
    s3: bucket === '' ? null : storeOf(config, bucket),
  });
}

/** What is empty is left to the AWS SDK, which has a chain of its own for it. */
function storeOf(config: Config, bucket: string): SourceSettings['s3'] {
  const given = {
    endpoint: config.get('recall.s3.endpoint'),
    region: config.get('recall.s3.region'),
    accessKeyId: config.get('recall.s3.access_key_id'),
    secretAccessKey: config.get('recall.s3.secret_access_key'),
  };
  const set: Partial<typeof given> = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== ''));
  return { bucket, pathStyle: config.get('recall.s3.path_style'), ...set };
}
