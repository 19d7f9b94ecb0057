/** What the scan is measured against: the same rows by COPY, the same pages to nowhere, the same rows one by one. */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Client } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { batchSizeDefault } from '../../activities/snapchain/contract';
import { CopyRows } from '../../activities/snapchain/copy-rows';
import { loadHashing } from '../../activities/snapchain/hashing';
import { snapshotVersion } from '../../activities/snapchain/event';
import { connectNode } from '../../activities/snapchain/node-client';
import { readLeaf } from '../../activities/snapchain/page';
import { createPostgresDestination } from '../../activities/snapchain/postgres-destination';
import { RowMaker } from '../../activities/snapchain/rows';
import { copyInto } from '../../activities/snapchain/statements';
import { tableNames, tables, type Row, type TableName } from '../../activities/snapchain/tables';
import { virtualShards } from '../../activities/snapchain/trie-key';
import { makeDatabase } from '../../test/peers/database';
import { databaseServer } from './node';

const signal = new AbortController().signal;
const atOnce = 4;

export interface CopyRates {
  /** By a client that has the rows as values: it encodes them and waits for the server, as ours does. */
  readonly ofRows: number;
  /** By one that has COPY's own bytes in its memory: the server alone. */
  readonly ofBytes: number;
}

/** Messages a second: the same rows into empty tables with the same indexes, by one client, one table after the other. */
export async function copyRates(address: string, expected: number): Promise<CopyRates> {
  const rows = await rowsOf(address);
  const encode = (table: TableName, from: readonly Row[]): Buffer => {
    const copy = new CopyRows(tables[table].columns.map(([, type]) => type));
    for (const row of from) copy.add(row);
    return copy.finish();
  };
  const ready = new Map([...rows].map(([table, all]) => [table, [encode(table, all)]] as const));
  const ofBytes = await copyInSeconds((table) => ready.get(table) ?? []);
  ready.clear();
  const ofRows = await copyInSeconds(function* (table) {
    const all = rows.get(table) ?? [];
    for (let at = 0; at < all.length; at += batchSizeDefault) yield encode(table, all.slice(at, at + batchSizeDefault));
  });
  return { ofRows: expected / ofRows, ofBytes: expected / ofBytes };
}

/** Each of a table's buffers is a COPY of its own. */
async function copyInSeconds(buffers: (table: TableName) => Iterable<Buffer>): Promise<number> {
  const target = await makeDatabase(databaseServer, 'bench');
  const destination = createPostgresDestination({ url: target.url, maxConnections: 1 });
  await destination.migrate(signal);
  await destination.close();
  const client = new Client({ connectionString: target.url });
  await client.connect();
  const started = performance.now();
  for (const table of tableNames)
    for (const buffer of buffers(table))
      await pipeline(
        Readable.from([buffer], { objectMode: false }),
        client.query(copyFrom(copyInto(table, `snapchain.${table}`))),
      );
  const seconds = (performance.now() - started) / 1000;
  await client.end();
  await target.drop();
  return seconds;
}

/** Every row that the scan makes of the snapshots, by table. */
async function rowsOf(address: string): Promise<Map<TableName, Row[]>> {
  await loadHashing();
  const node = connectNode({ endpoints: [address] });
  const rows = new Map<TableName, Row[]>();
  const add = (table: TableName, row: Row): void => {
    const all = rows.get(table);
    if (all === undefined) rows.set(table, [row]);
    else all.push(row);
  };
  const maker = new RowMaker({ add }, { types: null, keepMessages: false });
  const { numShards } = await node.info();
  for (let shard = 1; shard <= numShards; shard += 1) {
    const { height } = await node.newestSnapshot(shard);
    const ver = snapshotVersion(height);
    for (let virtualShard = 0; virtualShard < virtualShards; virtualShard += 1)
      for await (const page of node.pages({ shardIndex: shard, height, virtualShard, pageToken: null })) {
        for (const leaf of page.leaves) maker.entry(readLeaf(leaf, page.where), ver);
        for (const { fid, root, numMessages } of page.accountRoots) add('fids', [fid, shard, ver, root, numMessages]);
      }
  }
  node.close();
  // An account whose leaves go over two pages is told of twice.
  const fids = new Map(rows.get('fids')?.map((row) => [row[0], row]));
  rows.set('fids', [...fids.values()]);
  return rows;
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
  const target = await makeDatabase(databaseServer, 'bench');
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
