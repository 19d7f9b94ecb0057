/** The services that `scripts/services.mjs exec` hands to the tests are the real ones. A missing one fails here by name. */
import { execFileSync, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmodSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { Connection } from '@temporalio/client';
import { Redis } from 'ioredis';
import { createConnection, type RowDataPacket } from 'mysql2/promise';
import { Client } from 'pg';
import { newFolder, removeFolders } from './support/folders';

function given(name: string): string {
  const value = process.env[name];
  if (!value)
    throw new Error(`${name} is not set. Run the tests by "npm test", or by "node scripts/services.mjs exec -- ...".`);
  return value;
}

const unique = randomUUID().slice(0, 8);

it('PostgreSQL finds the nearest vector', async () => {
  const client = new Client({ connectionString: given('WAYBILL_TEST_POSTGRES_URL') });
  await client.connect();
  try {
    await client.query('CREATE EXTENSION IF NOT EXISTS vector');
    await client.query('CREATE TEMP TABLE point (name text, place vector(3))');
    await client.query("INSERT INTO point VALUES ('far', '[9,9,9]'), ('near', '[1,1,2]')");
    const { rows } = await client.query("SELECT name, place <-> '[1,1,1]' AS distance FROM point ORDER BY distance");
    expect(rows).toEqual([
      { name: 'near', distance: 1 },
      { name: 'far', distance: Math.sqrt(192) },
    ]);
  } finally {
    await client.end();
  }
});

it('Redis keeps a value, and says when it is on disk', async () => {
  const redis = new Redis(given('WAYBILL_TEST_REDIS_URL'));
  try {
    await redis.set(unique, 'kept');
    expect(await redis.call('WAITAOF', 1, 0, 5000)).toEqual([1, 0]);
    expect(await redis.get(unique)).toBe('kept');
    await redis.del(unique);
  } finally {
    redis.disconnect();
  }
});

it('MariaDB updates a row that is inserted twice', async () => {
  const connection = await createConnection(given('WAYBILL_TEST_MYSQL_URL'));
  try {
    await connection.query('CREATE TEMPORARY TABLE item (id INT PRIMARY KEY, body VARCHAR(20))');
    const upsert = 'INSERT INTO item VALUES (1, ?) ON DUPLICATE KEY UPDATE body = VALUES(body)';
    await connection.execute(upsert, ['first']);
    await connection.execute(upsert, ['second']);
    const [rows] = await connection.query<RowDataPacket[]>('SELECT id, body FROM item');
    expect(rows).toEqual([{ id: 1, body: 'second' }]);
  } finally {
    await connection.end();
  }
});

const s3 = (secretAccessKey: string): S3Client =>
  new S3Client({
    endpoint: given('WAYBILL_TEST_S3_URL'),
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: given('WAYBILL_TEST_S3_ACCESS_KEY'), secretAccessKey },
  });

it('S3 gives back what was put', async () => {
  const client = s3(given('WAYBILL_TEST_S3_SECRET'));
  const object = { Bucket: `services-${unique}`, Key: 'folder/name' };
  await client.send(new CreateBucketCommand({ Bucket: object.Bucket }));
  await client.send(new PutObjectCommand({ ...object, Body: 'bytes' }));
  const { Body } = await client.send(new GetObjectCommand(object));
  expect(await Body?.transformToString()).toBe('bytes');
  client.destroy();
});

it('S3 refuses a wrong secret', async () => {
  const client = s3('wrong');
  await expect(client.send(new CreateBucketCommand({ Bucket: `refused-${unique}` }))).rejects.toThrow(/signature/i);
  client.destroy();
});

it('Temporal serves the default namespace, with the search attributes by which runs are found', async () => {
  const connection = await Connection.connect({ address: given('TEMPORAL_ADDRESS'), connectTimeout: '10s' });
  try {
    const { namespaceInfo } = await connection.workflowService.describeNamespace({ namespace: 'default' });
    expect(namespaceInfo?.name).toBe('default');
    const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace: 'default' });
    expect(Object.keys(customAttributes)).toEqual(expect.arrayContaining(['SyncJob', 'SyncState']));
  } finally {
    await connection.close();
  }
});

describe('anvil, the stand-in chain', () => {
  afterAll(removeFolders);

  const services = join(__dirname, '../scripts/services.mjs');
  const { ANVIL_PATH: given, ...environment } = process.env;
  const find = (env: NodeJS.ProcessEnv): { status: number | null; stdout: string; stderr: string } =>
    spawnSync(process.execPath, [services, 'path', 'anvil'], { encoding: 'utf8', env });

  it('is a program of version 1', () => {
    const { stdout, stderr } = find(process.env);
    expect(stderr).not.toMatch(/not found/);
    expect(execFileSync(stdout.trim(), ['--version'], { encoding: 'utf8' })).toMatch(/Version: 1\./);
  });

  it('named in the environment is taken, or missed by name', () => {
    const program = given ?? process.execPath;
    expect(find({ ...environment, ANVIL_PATH: program }).stdout.trim()).toBe(program);
    const { status, stderr } = find({ ...environment, ANVIL_PATH: '/nowhere/anvil' });
    expect(status).toBe(1);
    expect(stderr).toMatch(/ANVIL_PATH=\/nowhere\/anvil: not a program/);
  });

  it('of other bytes than the pinned ones is not unpacked', () => {
    const [bin, cache] = [newFolder('bin'), newFolder('cache')];
    chmodSync(cache, 0o755); // as the servers' own users must be able to read it
    const other = '#!/bin/sh\nwhile [ "$1" != --pack-destination ]; do shift; done\n';
    const archive = 'foundry-rs-anvil-linux-amd64-1.7.1.tgz';
    writeFileSync(join(bin, 'npm'), `${other}echo other > "$2/${archive}"\n`, { mode: 0o755 });
    const { status, stderr } = find({ PATH: bin, HOME: cache, WAYBILL_CACHE: cache });
    expect(status).toBe(1);
    expect(stderr).toMatch(/DO NOT MATCH THE HASHES.*ANVIL_PATH/s);
    expect(readdirSync(join(cache, 'packages'))).toEqual([]);
  });
});
