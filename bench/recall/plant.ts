/** Objects put into the bucket by the emulation itself, many in a transaction: what a sync of a hundred thousand would leave. */
import { encodeFunctionData, type Abi } from 'viem';
import { createJsonRpc } from '../../activities/recall/json-rpc';
import contracts from '../../test/peers/recall/contracts/Recall.json';
import type { Peer } from './peer';
import type { Table } from './rows';

const signal = new AbortController().signal;
const together = 250;

export async function plant(peer: Peer, { client, name }: Table, bucket: string): Promise<void> {
  const anvil = createJsonRpc(peer.anvilUrl);
  const { rows } = await client.query<{ id: string; key: string; sha256: string; size: string }>(
    `SELECT id::text, competition_id || '/' || agent_id || '/' || data_type || '/' || id AS key,
            encode(sha256(data), 'hex') AS sha256, octet_length(data)::text AS size FROM ${name}`,
  );
  const from = '0x00000000000000000000000000000000000a11ce';
  // Not one by one: each block costs the chain a walk over all that it stores.
  await anvil.one('evm_setIntervalMining', [0], signal);
  let last: unknown = null;
  for (let start = 0; start < rows.length; start += together) {
    const some = rows.slice(start, start + together);
    const args = [
      some.map(({ key }) => key),
      some.map(({ sha256 }) => `0x${sha256}`),
      some.map(({ size }) => BigInt(size)),
      some.map(({ id, sha256 }) => [
        { key: 'sha256', value: sha256 },
        { key: 'source-id', value: id },
        { key: 'content-type', value: 'application/octet-stream' },
      ]),
    ];
    const data = encodeFunctionData({ abi: contracts.Bucket.abi as Abi, functionName: 'plant', args });
    last = await anvil.one('eth_sendTransaction', [{ from, to: bucket, data, gas: '0x60000000' }], signal);
  }
  // And no more of them afterwards: a look sends nothing.
  while ((await anvil.one('eth_getTransactionReceipt', [last], signal)) === null)
    await anvil.one('anvil_mine', [], signal);
  anvil.close();
}
