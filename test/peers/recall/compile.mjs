/** Compiles the stand-in contracts: `node test/peers/recall/compile.mjs` writes contracts/Recall.json, which is committed. */
import { readFileSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import { URL, fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';
import solc from 'solc';

const source = fileURLToPath(new URL('contracts/Recall.sol', import.meta.url));
const compiled = fileURLToPath(new URL('contracts/Recall.json', import.meta.url));
const wanted = ['Blobs', 'Machine', 'Bucket'];

/** The text of Recall.json, as it is formatted here. Throws what the compiler refuses. */
export async function compile() {
  const input = {
    language: 'Solidity',
    sources: { 'Recall.sol': { content: readFileSync(source, 'utf8') } },
    settings: {
      optimizer: { enabled: true, runs: 10_000 },
      evmVersion: 'cancun',
      metadata: { bytecodeHash: 'none', appendCBOR: false },
      outputSelection: { '*': { '*': ['abi', 'evm.deployedBytecode.object', 'evm.methodIdentifiers'] } },
    },
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input)));
  const errors = (output.errors ?? []).filter(({ severity }) => severity === 'error');
  if (errors.length > 0) throw new Error(errors.map(({ formattedMessage }) => formattedMessage).join('\n'));
  const contracts = wanted.map((name) => {
    const { abi, evm } = output.contracts['Recall.sol'][name];
    return [name, { abi, deployedBytecode: `0x${evm.deployedBytecode.object}`, selectors: evm.methodIdentifiers }];
  });
  return await format(JSON.stringify(Object.fromEntries(contracts)), {
    ...(await resolveConfig(compiled)),
    filepath: compiled,
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(compiled, await compile());
