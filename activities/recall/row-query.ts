/** The parts of a WHERE clause: every value a parameter, none of them text in the SQL. */
import type { RowPosition } from './contract';
import type { RowFilter } from './source';
import type { TableShape } from './table-shape';

export class Parameters {
  readonly values: unknown[] = [];

  /** Its placeholder. */
  add(value: unknown): string {
    return `$${this.values.push(value)}`;
  }
}

type Shape = Pick<TableShape, 'createdAt' | 'id' | 'idType'>;

export function filterSql(filter: RowFilter, parameters: Parameters, { createdAt }: Shape): string[] {
  const { since, until, competitions, agents, dataTypes, share, of } = filter;
  const conditions: string[] = [];
  const time = (text: string): string =>
    // What has a zone is brought to UTC before a column without one sees it.
    createdAt === 'timestamp'
      ? `(${parameters.add(text)}::timestamptz AT TIME ZONE 'UTC')`
      : `${parameters.add(text)}::timestamptz`;
  if (since !== null) conditions.push(`created_at >= ${time(since)}`);
  if (until !== null) conditions.push(`created_at < ${time(until)}`);
  if (competitions.length > 0)
    conditions.push(`competition_id::text = ANY(${parameters.add(lowerCase(competitions))})`);
  if (agents.length > 0) conditions.push(`agent_id::text = ANY(${parameters.add(lowerCase(agents))})`);
  if (dataTypes.length > 0) conditions.push(`data_type::text = ANY(${parameters.add(dataTypes)})`);
  // The last digits of a UUID are random in every version that is in use; the first of version 7 are time.
  if (of > 1) conditions.push(`('x' || right(id::text, 7))::bit(28)::int % ${of} = ${share - 1}`);
  return conditions;
}

const lowerCase = (ids: readonly string[]): string[] => ids.map((id) => id.toLowerCase());

/** Rows beyond a position. The first condition alone is what an index on created_at can begin at. */
export function after(position: RowPosition, parameters: Parameters, { createdAt, id, idType }: Shape): string[] {
  const [time, last] = [parameters.add(position.createdAt), parameters.add(position.id)];
  return [`created_at >= ${time}::${createdAt}`, `(created_at, ${id}) > (${time}::${createdAt}, ${last}::${idType})`];
}

export function atOrBefore(position: RowPosition, parameters: Parameters, { createdAt, id, idType }: Shape): string {
  const [time, last] = [parameters.add(position.createdAt), parameters.add(position.id)];
  return `(created_at, ${id}) <= (${time}::${createdAt}, ${last}::${idType})`;
}
