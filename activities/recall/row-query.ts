/** The parts of a WHERE clause over rows `o`: every value a parameter, none of them text in the SQL. */
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

type Shape = Pick<TableShape, 'createdAt' | 'id' | 'idType' | 'competition' | 'agent'>;

export function filterSql(filter: RowFilter, parameters: Parameters, shape: Shape): string[] {
  const { since, until, competitions, agents, dataTypes, share, of } = filter;
  const { createdAt, competition, agent } = shape;
  const conditions: string[] = [];
  const time = (text: string): string =>
    // What has a zone is brought to UTC before a column without one sees it.
    createdAt === 'timestamp'
      ? `(${parameters.add(text)}::timestamptz AT TIME ZONE 'UTC')`
      : `${parameters.add(text)}::timestamptz`;
  const among = ({ sql, type }: TableShape['agent'], ids: readonly string[]): string =>
    `${sql} = ANY(${parameters.add(ids.map((id) => id.toLowerCase()))}::${type}[])`;
  if (since !== null) conditions.push(`o.created_at >= ${time(since)}`);
  if (until !== null) conditions.push(`o.created_at < ${time(until)}`);
  if (competitions.length > 0) conditions.push(among(competition, competitions));
  if (agents.length > 0) conditions.push(among(agent, agents));
  if (dataTypes.length > 0) conditions.push(`o.data_type::text = ANY(${parameters.add(dataTypes)})`);
  // The last digits of a UUID are random in every version that is in use; the first of version 7 are time.
  if (of > 1) conditions.push(`('x' || right(o.id::text, 7))::bit(28)::int % ${of} = ${share - 1}`);
  return conditions;
}

/** Rows beyond a position. The first condition alone is what an index on created_at can begin at. */
export function after(position: RowPosition, parameters: Parameters, { createdAt, id, idType }: Shape): string[] {
  const [time, last] = [parameters.add(position.createdAt), parameters.add(position.id)];
  return [
    `o.created_at >= ${time}::${createdAt}`,
    `(o.created_at, ${id}) > (${time}::${createdAt}, ${last}::${idType})`,
  ];
}

export function atOrBefore(position: RowPosition, parameters: Parameters, { createdAt, id, idType }: Shape): string {
  const [time, last] = [parameters.add(position.createdAt), parameters.add(position.id)];
  return `(o.created_at, ${id}) <= (${time}::${createdAt}, ${last}::${idType})`;
}
