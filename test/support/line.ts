/** A line to a server, which can be cut: what is under way breaks off, and nobody answers until it is mended. */
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

export interface Line {
  readonly port: number;
  /** Breaks off what is under way. */
  cut(): void;
  /** And refuses what comes, until `up`. */
  down(): Promise<void>;
  up(): Promise<void>;
}

export async function startLine(host: string, port: number): Promise<Line> {
  const ends = new Set<Socket>();
  let server: Server | null = null;
  let own = 0;
  const cut = (): void => {
    for (const end of ends) end.destroy();
    ends.clear();
  };
  const up = async (): Promise<void> => {
    if (server !== null) return;
    const listening = createServer((near) => {
      const far = connect(port, host);
      for (const [end, other] of [
        [near, far],
        [far, near],
      ] as const) {
        ends.add(end);
        end.on('error', () => other.destroy());
        end.on('close', () => {
          ends.delete(end);
          other.destroy();
        });
        end.pipe(other);
      }
    });
    await new Promise<void>((resolve, reject) => {
      listening.once('error', reject);
      listening.listen(own, '127.0.0.1', resolve);
    });
    own = (listening.address() as AddressInfo).port;
    server = listening;
  };
  await up();
  return {
    get port() {
      return own;
    },
    cut,
    up,
    down: async () => {
      const closing = server;
      server = null;
      if (closing === null) return;
      const closed = new Promise((resolve) => closing.close(resolve));
      cut();
      await closed;
    },
  };
}
