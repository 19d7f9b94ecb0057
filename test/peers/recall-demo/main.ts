/**
 * The two ends of the demo's recall job as one process: rows and S3 objects on the servers named in the environment, and an
 * emulated network. One line of JSON says where its settings file is; all it made is gone when it ends, by SIGTERM or with
 * whoever started it.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startRecallNetwork, type RecallPeer } from '../recall/network';
import { makeRows, type Rows, type StoreAddress } from './rows';

const network = 'emulated';
/** Seconds; a network's own pace is about one. */
const blockSeconds = 1;

async function main(): Promise<void> {
  // Listened for from the beginning: what is half made when it comes is made, then removed.
  const end = asked();
  const databaseUrl = given('WAYBILL_TEST_POSTGRES_URL');
  const store: StoreAddress = {
    endpoint: given('WAYBILL_TEST_S3_URL'),
    accessKeyId: given('WAYBILL_TEST_S3_ACCESS_KEY'),
    secretAccessKey: given('WAYBILL_TEST_S3_SECRET'),
  };
  const ends = await startEnds(databaseUrl, store);
  const { rows, peer } = ends;
  const folder = mkdtempSync(join(tmpdir(), 'waybill-demo-recall-'));
  const config = writeSettings(folder, databaseUrl, store, ends);
  process.stdout.write(`${JSON.stringify({ config, objects: rows.objects, bytes: rows.bytes })}\n`);
  await end;
  rmSync(folder, { recursive: true, force: true });
  await Promise.all([rows.drop(), peer.stop()]);
}

interface Ends {
  readonly rows: Rows;
  readonly peer: RecallPeer;
}

/** Both or neither. */
async function startEnds(databaseUrl: string, store: StoreAddress): Promise<Ends> {
  const [rows, peer] = await Promise.allSettled([
    makeRows(databaseUrl, store),
    startRecallNetwork({ blockSeconds, wallets: 1 }),
  ]);
  if (rows.status === 'fulfilled' && peer.status === 'fulfilled') return { rows: rows.value, peer: peer.value };
  if (rows.status === 'fulfilled') await rows.value.drop();
  if (peer.status === 'fulfilled') await peer.value.stop();
  throw rows.status === 'rejected' ? rows.reason : (peer as PromiseRejectedResult).reason;
}

/** As somebody would write them by hand, secrets in files that only their owner reads. */
function writeSettings(folder: string, databaseUrl: string, store: StoreAddress, { rows, peer }: Ends): string {
  const file = (name: string, content: string): string => {
    writeFileSync(join(folder, name), content, { mode: 0o600 });
    return join(folder, name);
  };
  const networks = file('networks.toml', peer.networksToml(network));
  const key = file('wallet.key', `${peer.wallets[0]?.privateKey ?? ''}\n`);
  const secret = file('s3.secret', `${store.secretAccessKey}\n`);
  const tables: Readonly<Record<string, Readonly<Record<string, string | number>>>> = {
    'recall.database': { url: databaseUrl, table: rows.table },
    'recall.s3': {
      bucket: rows.s3Bucket,
      endpoint: store.endpoint,
      region: 'us-east-1',
      access_key_id: store.accessKeyId,
      secret_access_key_file: secret,
    },
    'recall.recall': { network, config_path: networks, private_key_file: key },
  };
  const lines = Object.entries(tables).flatMap(([table, settings]) => [
    `[${table}]`,
    // A JSON string is a TOML string.
    ...Object.entries(settings).map(([name, value]) => `${name} = ${JSON.stringify(value)}`),
    '',
  ]);
  return file('waybill.toml', lines.join('\n'));
}

/** Resolves when somebody wants us to end. */
function asked(): Promise<void> {
  return new Promise((resolve) => {
    // On, not once: asked again it is about it already, and must not be cut short.
    for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(name, () => resolve());
    // The pipe from whoever started us: its end is theirs.
    process.stdin.once('close', resolve).resume();
  });
}

function given(name: string): string {
  const value = process.env[name];
  if (value !== undefined && value !== '') return value;
  throw new Error(`${name} is not set: scripts/services.mjs exec postgres,s3 -- sets it`);
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  },
);
