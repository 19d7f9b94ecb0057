/** The job as a whole, on real servers: what it brings, in every mode; what a second run does. */
import { expectComplete, startRecallJob, type RecallJob } from '../support/recall-job';
import { removeFolders } from '../support/folders';
import type { DataColumn } from '../support/object-index';

afterAll(removeFolders);

describe.each<DataColumn>(['BYTEA', 'TEXT', 's3'])('objects in %s', (column) => {
  let job: RecallJob;
  beforeAll(async () => {
    job = await startRecallJob({ column });
  });
  afterAll(() => job.end());

  it('arrive, each once, and a second run sends nothing', async () => {
    await job.rows.add([1, 100, 1000, 70_000, 2_000_000, ...Array.from({ length: 195 }, (_, index) => 200 + index)]);
    const first = await job.run();
    expect(first.counts).toMatchObject({ objects: 200 });
    await expectComplete(job);
    const sends = job.peer.rpc.requests.get('eth_sendRawTransaction');
    const second = await job.run();
    expect(second.counts).toEqual({});
    expect(job.peer.rpc.requests.get('eth_sendRawTransaction')).toBe(sends);
  });
});
