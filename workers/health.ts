/** What an orchestrator asks a worker: /healthz (is the process alive), /readyz (does it take work), /metrics. */
import { createServer, type Server } from 'node:http';

export interface Health {
  /** True while every worker polls. */
  readonly ready: () => boolean;
  /** A line for people: each worker's state. */
  readonly states: () => Record<string, string>;
  readonly metricsUrl: string;
}

export interface HealthEndpoint {
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Listens on `host:port`. Liveness is that this very event loop answers, not that Temporal does: the SDK reconnects by
 * itself, and a restart would help nothing. Throws if the address cannot be listened on.
 */
export async function startHealth(listen: string, health: Health): Promise<HealthEndpoint> {
  const at = listen.lastIndexOf(':');
  const host = listen.slice(0, at);
  const server = createServer((request, response) => {
    const reply = (status: number, body: string, type = 'text/plain; charset=utf-8'): void => {
      response.writeHead(status, { 'content-type': type }).end(body);
    };
    switch (request.url?.split('?')[0]) {
      case '/healthz':
        return reply(200, 'ok\n');
      case '/readyz':
        return reply(health.ready() ? 200 : 503, `${JSON.stringify(health.states())}\n`, 'application/json');
      case '/metrics':
        void forwardMetrics(health.metricsUrl).then(
          (text) => reply(200, text, 'text/plain; version=0.0.4; charset=utf-8'),
          (error: unknown) => reply(503, `metrics are not ready: ${String(error)}\n`),
        );
        return;
      default:
        return reply(404, 'try /healthz, /readyz or /metrics\n');
    }
  });
  const port = await listening(server, host, Number(listen.slice(at + 1)));
  return {
    url: `http://${host}:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function forwardMetrics(url: string): Promise<string> {
  return await (await fetch(url)).text();
}

function listening(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) =>
      reject(new Error(`listen on ${host}:${port}: ${error.message}. Set worker.listen.`, { cause: error })),
    );
    server.listen(port, host, () => {
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : port);
    });
  });
}
