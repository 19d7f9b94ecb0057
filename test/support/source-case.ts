/** One way to fill a source, the fake or a real one, and to steer what happens to it while it is read. */
import { createHash } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import type { Client } from 'pg';
import { createPostgresSource } from '../../activities/recall/postgres-source';
import type { ObjectRow, ObjectSource, RowFilter } from '../../activities/recall/source';
import { createFakeSource, type FakeSource } from './fake-source';
import {
  agents,
  competitions,
  createObjectIndex,
  type AddOptions,
  type DataColumn,
  type MadeObject,
  type ObjectIndex,
} from './object-index';

export type Options = Omit<AddOptions, 'through'>;

export interface OpenTransaction {
  add(sizes: readonly number[], options?: Options): Promise<MadeObject[]>;
  commit(): Promise<void>;
  rollback(): Promise<void>;
}

export interface SourceCase {
  readonly source: ObjectSource;
  readonly hasS3: boolean;
  add(sizes: readonly number[], options?: Options): Promise<MadeObject[]>;
  /** A session of its own, whose transaction has begun but not written. */
  begin(): Promise<OpenTransaction>;
  remove(ids: readonly string[]): Promise<void>;
  /** The objects of such rows, where they are in a store. */
  removeObjects(ids: readonly string[]): Promise<void>;
  /** What ON DELETE SET NULL does to the rows of a deleted agent. */
  clearAgent(ids: readonly string[]): Promise<void>;
  end(): Promise<void>;
}

export const noSignal = new AbortController().signal;
// Many calls at once listen to it.
setMaxListeners(0, noSignal);
export const everyRow: RowFilter = {
  since: null,
  until: null,
  competitions: [],
  agents: [],
  dataTypes: [],
  share: 1,
  of: 1,
};
/** After all that tests make. */
export const farAhead = '2100-01-01 00:00:00+00';

export const sourceKinds = ['the fake', 'BYTEA', 'TEXT', 's3'] as const;

export async function openSourceCase(kind: (typeof sourceKinds)[number]): Promise<SourceCase> {
  return kind === 'the fake'
    ? fakeCase(createFakeSource())
    : indexCase(kind, await createObjectIndex(kind, { ownDatabase: '' }));
}

function indexCase(column: DataColumn, index: ObjectIndex): SourceCase {
  const source = createPostgresSource(index.settings);
  const sessions = new Set<Client>();
  return {
    source,
    hasS3: column === 's3',
    add: (sizes, options) => index.add(sizes, options),
    begin: async () => {
      const through = await index.connect();
      sessions.add(through);
      await through.query('BEGIN');
      const end = async (how: string): Promise<void> => {
        await through.query(how);
        sessions.delete(through);
        await through.end();
      };
      return {
        add: (sizes, options) => index.add(sizes, { ...options, through }),
        commit: () => end('COMMIT'),
        rollback: () => end('ROLLBACK'),
      };
    },
    remove: async (ids) => {
      await index.client.query(`DELETE FROM ${index.table} WHERE id = ANY($1::uuid[])`, [ids]);
    },
    removeObjects: (ids) => index.removeObjects(ids),
    clearAgent: async (ids) => {
      await index.client.query(`UPDATE ${index.table} SET agent_id = NULL WHERE id = ANY($1::uuid[])`, [ids]);
    },
    end: async () => {
      for (const session of sessions) await session.end();
      await source.close();
      await index.drop();
    },
  };
}

function fakeCase(source: FakeSource): SourceCase {
  let sequence = 0;
  const begin = async (): Promise<OpenTransaction> => {
    const transaction = source.begin();
    return {
      add: async (sizes, { createdAt, competition = competitions[0], agent, dataType = 'trade' } = {}) =>
        sizes.map((size, index) => {
          sequence += 1;
          const content = Buffer.alloc(size, String(sequence));
          const agentId = agent === undefined ? (agents[sequence % agents.length] ?? null) : agent;
          const at = createdAt?.(index);
          const row = { competition: competition ?? null, agent: agentId, dataType, content };
          const id = transaction.insert(at === undefined ? row : { ...row, createdAt: at });
          const key = [row.competition, agentId, dataType, id].filter((part) => part !== null).join('/');
          return { id, key, size, sha256: createHash('sha256').update(content).digest('hex') };
        }),
      commit: async () => transaction.commit(),
      rollback: async () => transaction.rollback(),
    };
  };
  return {
    source,
    hasS3: false,
    begin,
    add: async (sizes, options) => {
      const transaction = await begin();
      const made = await transaction.add(sizes, options);
      await transaction.commit();
      return made;
    },
    remove: async (ids) => ids.forEach((id) => source.remove(id)),
    removeObjects: async () => undefined,
    clearAgent: async (ids) => ids.forEach((id) => source.change(id, { agent: null })),
    end: () => source.close(),
  };
}

/** Page by page to the end. */
export async function readAll(
  source: ObjectSource,
  limit: number,
  { filter = everyRow, before = farAhead }: { filter?: RowFilter; before?: string } = {},
): Promise<ObjectRow[]> {
  const all: ObjectRow[] = [];
  for (;;) {
    const last = all.at(-1);
    const after = last === undefined ? null : { createdAt: last.createdAt, id: last.id };
    const page = await source.page(filter, { after, before, limit, digest: false }, noSignal);
    all.push(...page);
    if (page.length < limit) return all;
  }
}

/** The same by id. */
export async function sweepAll(
  source: ObjectSource,
  limit: number,
  range: { filter?: RowFilter; since?: string | null; upTo?: ObjectRow | null } = {},
): Promise<ObjectRow[]> {
  const { filter = everyRow, since = null, upTo = null } = range;
  const all: ObjectRow[] = [];
  for (;;) {
    const afterId = all.at(-1)?.id ?? '';
    const page = await source.sweep(filter, { afterId, since, upTo, limit, digest: false }, noSignal);
    all.push(...page);
    if (page.length < limit) return all;
  }
}

export const idsOf = (rows: readonly { readonly id: string }[]): string[] => rows.map(({ id }) => id).sort();

export async function digestOf(stream: AsyncIterable<Uint8Array>): Promise<{ size: number; sha256: string }> {
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of stream) {
    size += chunk.length;
    hash.update(chunk);
  }
  return { size, sha256: hash.digest('hex') };
}
