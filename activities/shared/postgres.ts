/** Connections to PostgreSQL: in UTC, each query given up with its signal, troubles sorted. */
import { Pool, type PoolClient } from 'pg';
import { identityOf, postgresTrouble, type PostgresUser } from './postgres-trouble';

export interface PostgresSettings {
  readonly url: string;
  readonly maxConnections: number;
}

const session = `SET TIME ZONE 'UTC'; SET DateStyle = 'ISO, YMD'; SET statement_timeout = '60s'`;
/** The server's own limit and some more: a line that went dead without a word ends here. */
const answerMsMax = 75_000;
const connectMsMax = 15_000;
/** A firewall forgets a silent connection after minutes: it is kept in mind. */
const keepAliveMs = 30_000;

export class Postgres {
  /** `host:port/database`: no user, no password. */
  readonly identity: string;
  private readonly pool: Pool;

  /** `setUp`: SQL for each new connection. Throws the user's failure for an address that is none. */
  constructor(
    { url, maxConnections }: PostgresSettings,
    private readonly user: PostgresUser,
    setUp = '',
  ) {
    this.identity = identityOf(url, user);
    this.pool = new Pool({
      connectionString: url,
      max: maxConnections,
      application_name: `waybill ${user.key.split('.')[0]}`,
      connectionTimeoutMillis: connectMsMax,
      query_timeout: answerMsMax,
      keepAlive: true,
      keepAliveInitialDelayMillis: keepAliveMs,
    });
    // Not by the connection's `options`: an address may have its own, which would take their place.
    this.pool.on('connect', (client) => {
      client.query(`${session}; ${setUp}`).catch(ignore);
    });
    // A server that goes away ends idle connections: the next query gets a new one, or says why not.
    this.pool.on('error', ignore);
  }

  /** Runs `work` on a connection of its own, which is closed if the signal ends it: a query in flight is given up with it. */
  async use<R>(signal: AbortSignal, work: (client: PoolClient) => Promise<R>): Promise<R> {
    signal.throwIfAborted();
    const client = await this.connect(signal);
    let released = false;
    const release = (broken: boolean): void => {
      if (released) return;
      released = true;
      client.removeListener('error', ignore);
      client.release(broken);
    };
    const stop = (): void => release(true);
    client.on('error', ignore);
    signal.addEventListener('abort', stop, { once: true });
    try {
      const result = await work(client);
      release(false);
      return result;
    } catch (error) {
      release(true);
      signal.throwIfAborted();
      throw postgresTrouble(error, this.identity, this.user);
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  close(): Promise<void> {
    return this.pool.end();
  }

  private async connect(signal: AbortSignal): Promise<PoolClient> {
    const connecting = this.pool.connect();
    let stop = ignore;
    const stopped = new Promise<never>((_, reject) => {
      stop = () => reject(signal.reason as Error);
      signal.addEventListener('abort', stop, { once: true });
    });
    try {
      return await Promise.race([connecting, stopped]);
    } catch (error) {
      // A connection that comes when nobody waits any more goes back.
      connecting.then((client) => client.release(), ignore);
      signal.throwIfAborted();
      throw postgresTrouble(error, this.identity, this.user);
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }
}

/** A connection that breaks while in use fails its query: that is where it is heard. */
function ignore(): void {
  return undefined;
}
