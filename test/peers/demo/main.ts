/**
 * What the demo's recall and snapchain jobs move between, as one process: rows and S3 objects on the servers named in the
 * environment, an emulated network, a snapchain node's recording and a database for it. One line of JSON says where its settings file is; all it made is gone when it ends, by SIGTERM or with
 * whoever started it.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startRecallNetwork, type RecallPeer } from '../recall/network';
import { replayRecording } from '../snapchain/replay';
import type { SnapchainNode } from '../snapchain/node';
import { makeDatabase, type OwnDatabase } from '../database';
import { makeRows, type Rows, type StoreAddress } from './rows';

const network = 'emulated';
/** Of a real node; from the folder that the program is started in. */
const recording = join('test', 'data', 'snapchain', 'devnet-recording.ndjson.gz');
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
  const { rows, peer, node, farcaster } = ends;
  const folder = mkdtempSync(join(tmpdir(), 'waybill-demo-ends-'));
  const config = writeSettings(folder, databaseUrl, store, ends);
  process.stdout.write(`${JSON.stringify({ config, objects: rows.objects, bytes: rows.bytes, node: node.address })}\n`);
  await end;
  rmSync(folder, { recursive: true, force: true });
  await Promise.all([rows.drop(), peer.stop(), node.stop(), farcaster.drop()]);
}

interface Ends {
  readonly rows: Rows;
  readonly peer: RecallPeer;
  readonly node: SnapchainNode;
  readonly farcaster: OwnDatabase;
}

/** All or none. */
async function startEnds(databaseUrl: string, store: StoreAddress): Promise<Ends> {
  const [rows, peer, node, farcaster] = await Promise.allSettled([
    makeRows(databaseUrl, store),
    startRecallNetwork({ blockSeconds, wallets: 1 }),
    replayRecording(recording),
    makeDatabase(databaseUrl, 'waybill_demo'),
  ]);
  if (
    rows.status === 'fulfilled' &&
    peer.status === 'fulfilled' &&
    node.status === 'fulfilled' &&
    farcaster.status === 'fulfilled'
  )
    return { rows: rows.value, peer: peer.value, node: node.value, farcaster: farcaster.value };
  if (rows.status === 'fulfilled') await rows.value.drop();
  if (peer.status === 'fulfilled') await peer.value.stop();
  if (node.status === 'fulfilled') await node.value.stop();
  if (farcaster.status === 'fulfilled') await farcaster.value.drop();
  throw [rows, peer, node, farcaster].find((each) => each.status === 'rejected')?.reason;
}

/** As somebody would write them by hand, secrets in files that only their owner reads. */
function writeSettings(
  folder: string,
  databaseUrl: string,
  store: StoreAddress,
  { rows, peer, node, farcaster }: Ends,
): string {
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
    'snapchain.sync': { snapchain_endpoint: `http://${node.address}` },
    'snapchain.database': { url: farcaster.url },
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
