/** What the scan is measured against: the same rows by COPY, the same pages to nowhere, the same rows one by one. */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Client } from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import { loadHashing } from '../../activities/snapchain/hashing';
import { snapshotVersion } from '../../activities/snapchain/event';
import { connectNode } from '../../activities/snapchain/node-client';
import { readLeaf } from '../../activities/snapchain/page';
import { createPostgresDestination } from '../../activities/snapchain/postgres-destination';
import { RowMaker } from '../../activities/snapchain/rows';
import { tableNames } from '../../activities/snapchain/tables';
import { virtualShards } from '../../activities/snapchain/trie-key';
import { createDatabase } from './database';

const signal = new AbortController().signal;
const atOnce = 4;

/** Messages a second: all rows of the tables into empty ones with the same indexes, by one client, one table after the other. */
export async function copyRate(url: string): Promise<number> {
  const target = await createDatabase();
  const destination = createPostgresDestination({ url: target.url, maxConnections: 1 });
  await destination.migrate(signal);
  await destination.close();
  const [source, sink] = [new Client({ connectionString: url }), new Client({ connectionString: target.url })];
  await Promise.all([source.connect(), sink.connect()]);
  let seconds = 0;
  let rows = 0;
  for (const table of tableNames) {
    const chunks: Buffer[] = [];
    for await (const chunk of source.query(
      copyTo(`COPY snapchain.${table} TO STDOUT (FORMAT binary)`),
    ) as AsyncIterable<Buffer>)
      chunks.push(chunk);
    const started = performance.now();
    await pipeline(
      Readable.from(chunks, { objectMode: false }),
      sink.query(copyFrom(`COPY snapchain.${table} FROM STDIN (FORMAT binary)`)),
    );
    seconds += (performance.now() - started) / 1000;
    const { rows: counted } = await sink.query<{ count: number }>(
      `SELECT count(*)::int AS count FROM snapchain.${table}`,
    );
    // Of the same messages: what is kept beside them is part of the work, not of the count.
    if (!['fids', 'user_data_changes', 'onchain_events'].includes(table)) rows += counted[0]?.count ?? 0;
  }
  await Promise.all([source.end(), sink.end()]);
  await target.drop();
  return rows / seconds;
}

/** Messages a second: every page of every shard read, each leaf decoded and its hash checked, and then forgotten. */
export async function readRate(address: string): Promise<number> {
  await loadHashing();
  const node = connectNode({ endpoints: [address] });
  const { numShards } = await node.info();
  const started = performance.now();
  let messages = 0;
  for (let shard = 1; shard <= numShards; shard += 1) {
    const { height } = await node.newestSnapshot(shard);
    let next = 0;
    const take = async (): Promise<void> => {
      while (next < virtualShards) {
        const virtualShard = next++;
        for await (const page of node.pages({ shardIndex: shard, height, virtualShard, pageToken: null }))
          for (const leaf of page.leaves) if (readLeaf(leaf, page.where).kind === 'message') messages += 1;
      }
    };
    await Promise.all(Array.from({ length: atOnce }, take));
  }
  const seconds = (performance.now() - started) / 1000;
  node.close();
  return messages / seconds;
}

/** Messages a second: the first ones, a transaction each, into tables as the job has them. */
export async function rowRate(address: string, count: number): Promise<number> {
  await loadHashing();
  const target = await createDatabase();
  const destination = createPostgresDestination({ url: target.url, maxConnections: 1 });
  await destination.migrate(signal);
  const client = new Client({ connectionString: target.url });
  await client.connect();
  const node = connectNode({ endpoints: [address] });
  const { height } = await node.newestSnapshot(1);
  let [written, seconds] = [0, 0];
  for (let virtualShard = 0; virtualShard < virtualShards && written < count; virtualShard += 1)
    for await (const page of node.pages({ shardIndex: 1, height, virtualShard, pageToken: null }))
      for (const leaf of page.leaves) {
        const entry = readLeaf(leaf, page.where);
        if (entry.kind !== 'message' || written >= count) continue;
        const statements: { sql: string; values: readonly unknown[] }[] = [];
        const sink = {
          add: (table: string, row: readonly unknown[]): void => {
            const places = row.map((_, index) => `$${index + 1}`).join(', ');
            const values = row.map((value) =>
              typeof value === 'object' && value !== null && !Buffer.isBuffer(value) && !Array.isArray(value)
                ? JSON.stringify(value)
                : table === 'casts' && Array.isArray(value) && typeof value[0] === 'object'
                  ? JSON.stringify(value)
                  : value,
            );
            statements.push({
              sql: `INSERT INTO snapchain.${table} VALUES (${places}) ON CONFLICT DO NOTHING`,
              values,
            });
          },
        };
        new RowMaker(sink, { types: null, keepMessages: false }).entry(entry, snapshotVersion(height));
        const started = performance.now();
        await client.query('BEGIN');
        for (const { sql, values } of statements) await client.query(sql, values as unknown[]);
        await client.query('COMMIT');
        seconds += (performance.now() - started) / 1000;
        written += 1;
      }
  node.close();
  await client.end();
  await destination.close();
  await target.drop();
  return written / seconds;
}
