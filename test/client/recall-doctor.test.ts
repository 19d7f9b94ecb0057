/** What `doctor` says of a recall worker's surroundings: real sockets, no Temporal. */
import { createServer, type Server } from 'node:net';
import { recallFindings } from '../../client/recall/doctor';
import { loadConfig, type Config } from '../../workers/config';
import { freePort } from '../../workers/free-port';

const configOf = (env: Record<string, string>): Config => loadConfig({ env });

describe('doctor of recall', () => {
  let server: Server;
  let port: number;
  beforeAll(async () => {
    server = createServer((socket) => socket.destroy());
    port = await new Promise((resolve) => {
      server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
    });
  });
  afterAll(() => new Promise((resolve) => server.close(resolve)));

  it('has nothing to look at where no database is configured', async () => {
    expect(await recallFindings(configOf({}))).toEqual([]);
  });

  it('finds database, S3 and keys, or says what to do', async () => {
    const here = {
      WAYBILL_RECALL_DATABASE_URL: `postgres://me:open-sesame@127.0.0.1:${port}/data`,
      WAYBILL_RECALL_S3_BUCKET: 'objects',
      WAYBILL_RECALL_S3_ENDPOINT: `http://127.0.0.1:${port}`,
      RECALL_PRIVATE_KEY: 'ab'.repeat(32),
    };
    const well = await recallFindings(configOf(here));
    expect(well.map(({ check, ok }) => [check, ok])).toEqual([
      ['database', true],
      ['S3', true],
      ['wallets', true],
    ]);
    const away = await freePort();
    const ill = await recallFindings(
      configOf({
        ...here,
        WAYBILL_RECALL_DATABASE_URL: `postgres://me:open-sesame@127.0.0.1:${away}/data`,
        WAYBILL_RECALL_S3_ENDPOINT: 'minio',
        RECALL_PRIVATE_KEY: '',
      }),
    );
    expect(ill.map(({ check, ok }) => [check, ok])).toEqual([
      ['database', false],
      ['S3', false],
      ['wallets', false],
    ]);
    expect(ill[0]?.found).toContain(`127.0.0.1:${away}: connect ECONNREFUSED`);
    for (const { fix } of ill) expect(fix).not.toBe('');
    expect(JSON.stringify([well, ill])).not.toMatch(/open-sesame|abab/);
  });
});
