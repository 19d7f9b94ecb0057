/** The stand-in contracts are what their source says, and have the selectors, events and answers of the network's own. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { keccak256, toHex, type Abi, type AbiParameter } from 'viem';
import contracts from '../peers/recall/contracts/Recall.json';

const folder = join(__dirname, '../peers/recall');

describe('the committed bytecode', () => {
  it('is what the compiler makes of the source', async () => {
    const program = `import(${JSON.stringify(join(folder, 'compile.mjs'))}).then(async ({ compile }) => process.stdout.write(await compile()))`;
    const { stdout } = await promisify(execFile)(process.execPath, ['-e', program], { maxBuffer: 10_000_000 });
    expect(stdout).toBe(readFileSync(join(folder, 'contracts/Recall.json'), 'utf8'));
  }, 120_000);

  // As published with the network's own facades.
  it.each([
    ['Bucket', 'addObject(bytes32,string,bytes32,bytes32,uint64,uint64,(string,string)[],bool)', '774343fe'],
    ['Bucket', 'addObject(bytes32,string,bytes32,bytes32,uint64)', '2d6f2550'],
    ['Bucket', 'deleteObject(string)', '2d7cb600'],
    ['Bucket', 'getObject(string)', '0153ea91'],
    ['Bucket', 'queryObjects(string,string,string,uint64)', '17d352c0'],
    ['Bucket', 'updateObjectMetadata(string,(string,string)[])', '6f0a4ff4'],
  ] as const)('has %s.%s at %s', (contract, signature, selector) => {
    expect((contracts[contract].selectors as Record<string, string>)[signature]).toBe(selector);
  });

  it.each([
    ['ObjectAdded(bytes,bytes32,bytes)', '0x3cf4a57a'],
    ['ObjectDeleted(bytes,bytes32)', '0x712864'],
    ['ObjectMetadataUpdated(bytes,bytes)', '0xa53f68'],
  ])('has the event %s with a topic of %s…', (signature, start) => {
    expect(keccak256(toHex(signature)).startsWith(start)).toBe(true);
    const events = (contracts.Bucket.abi as Abi).filter((entry) => entry.type === 'event');
    const signatures = events.map(({ name, inputs }) => `${name}(${inputs.map(({ type }) => type).join()})`);
    expect(signatures).toContain(signature);
  });

  it.each([
    ['Machine', 'createBucket(address,(string,string)[])', '(address)'],
    ['Machine', 'listBuckets(address)', '((uint8,address,(string,string)[])[])'],
    ['Blobs', 'buyCredit(address)', '()'],
    ['Blobs', 'approveCredit(address)', '()'],
    ['Blobs', 'approveCredit(address,address[],uint256,uint256,uint64)', '()'],
    ['Blobs', 'setAccountSponsor(address)', '()'],
    [
      'Blobs',
      'getAccount(address)',
      '((uint64,uint256,uint256,address,uint64,' +
        '(address,(uint256,uint256,uint64,uint256,uint256))[],(address,(uint256,uint256,uint64,uint256,uint256))[],uint64,uint256))',
    ],
    ['Blobs', 'getBlob(bytes32)', '((uint64,bytes32,(string,uint64)[],uint8))'],
    [
      'Blobs',
      'getStats()',
      '((uint256,uint64,uint64,uint256,uint256,uint256,uint256,uint64,uint64,uint64,uint64,uint64,uint64))',
    ],
    ['Bucket', 'getObject(string)', '((bytes32,bytes32,uint64,uint64,(string,string)[]))'],
    [
      'Bucket',
      'queryObjects(string,string,string,uint64)',
      '(((string,(bytes32,uint64,uint64,(string,string)[]))[],string[],string))',
    ],
  ] as const)('answers %s.%s with %s', (contract, signature, answer) => {
    const functions = (contracts[contract].abi as Abi).filter((entry) => entry.type === 'function');
    const found = functions.find(({ name, inputs }) => name + tuple(inputs) === signature);
    expect(tuple(found?.outputs ?? [])).toBe(answer);
  });
});

/** The types alone. */
function tuple(parameters: readonly AbiParameter[]): string {
  const types = parameters.map((each) =>
    'components' in each ? tuple(each.components) + each.type.slice('tuple'.length) : each.type,
  );
  return `(${types.join()})`;
}
