/** Refusals of the chain in its own words and in what they come wrapped in. */
import { encodeErrorResult, parseAbi } from 'viem';
import { RpcError } from '../../activities/recall/json-rpc';
import { classified, fateOf, withRemedy, wordsOf } from '../../activities/recall/trouble';
import { RecordRefused } from '../../activities/shared/failures';

const texts = [
  ['insufficient credit (balance: 12; required: 7776000)', 'CreditExhausted'],
  ['subnet has reached storage capacity (available: 0; required: 900)', 'CapacityReached'],
  ["attempt to add a blob with TTL (90000) that exceeds account's max allowed TTL (86400)", 'TtlRefused'],
  ['minimum blob TTL is 3600', 'TtlRefused'],
  ['missing delegation from 0x01 to 0x02', 'DelegationMissing'],
  ['actor f0123 not found', 'BucketRefused'],
  ['insufficient funds for gas * price + value: balance 0, tx cost 55, overshot 55', 'WalletEmpty'],
  ['Insufficient funds for gas * price + value', 'WalletEmpty'],
  ['key exists; use overwrite', 'park'],
  ['the maximum metadata entries allowed is 20', 'park'],
  ['key must be less than or equal to 32 bytes (metadata)', 'park'],
  ['blob size must be less than 5000000000', 'park'],
  ['expected sequence 7, got 6', 'again'],
  ['out of gas', 'again'],
  ['mempool is full: number of txs 5000 (max: 5000)', 'again'],
  ['', 'again'],
] as const;

const wrappings: [string, (text: string) => string][] = [
  ['bare', (text) => text],
  [
    'in fendermint’s words',
    (text) => `message failed with backtrace:\n00: t066 (method 3844450837) -- ${text} (16: USR_ILLEGAL_ARGUMENT)`,
  ],
  ['in an EVM client’s words', (text) => `execution reverted: revert: ${text}`],
  ['in capitals', (text) => `The contract function "addObject" reverted with the following reason:\n${text}`],
];

describe.each(wrappings)('%s', (_, wrap) => {
  it.each(texts)('%s is %s', (text, fate) => {
    expect(fateOf(wrap(text))).toBe(fate);
  });
});

describe('the words of a refusal', () => {
  const data = encodeErrorResult({
    abi: parseAbi(['error Error(string message)']),
    errorName: 'Error',
    args: ['insufficient credit (balance: 1; required: 2)'],
  });
  const words = 'insufficient credit (balance: 1; required: 2)';

  it.each([
    ['as data', new RpcError('eth_call', 3, 'execution reverted', data)],
    ['as data within data', new RpcError('eth_call', 3, 'execution reverted', JSON.stringify({ data }))],
    ['after a word', new RpcError('eth_call', -32015, 'VM execution error', `Reverted ${data}`)],
    ['in the message', new RpcError('eth_call', 3, `contract reverted: data ${data}`, '')],
  ])('come out of the bytes of a revert, given %s', (_, error) => {
    expect(wordsOf(error)).toBe(words);
    expect(classified(error, 'adding')).toMatchObject({ type: 'CreditExhausted', nonRetryable: true });
  });

  it('are the node’s own where there are no such bytes', () => {
    expect(wordsOf(new RpcError('eth_call', 3, 'no', '0x'))).toBe('no');
    expect(wordsOf(new RpcError('eth_call', 3, 'no', '0x08c379a0ff'))).toBe('no');
    expect(wordsOf(new RpcError('eth_call', 3, 'no', 'because'))).toBe('no: because');
  });
});

describe('a refusal', () => {
  const refusal = (text: string): Error => classified(new RpcError('eth_estimateGas', 3, text, ''), 'adding');

  it('of one record is that record’s', () => {
    expect(refusal('key exists; use overwrite')).toBeInstanceOf(RecordRefused);
  });

  it('that a person must mend says what to do', () => {
    const failure = refusal('subnet has reached storage capacity');
    expect(failure).toMatchObject({ type: 'CapacityReached', nonRetryable: true });
    expect(failure.message).toBe(`adding: ${withRemedy('CapacityReached', 'subnet has reached storage capacity')}`);
  });

  it('of an unknown kind is the world’s, and so is what is no refusal', () => {
    const plain = refusal('try later');
    expect({ name: plain.name, message: plain.message }).toEqual({ name: 'Error', message: 'adding: try later' });
    const cause = new Error('ECONNREFUSED');
    expect(classified(cause, 'adding')).toBe(cause);
  });
});
