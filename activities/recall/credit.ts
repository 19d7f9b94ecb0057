/** Whether the credit lasts, asked before anything is uploaded or signed: a transaction that must fail costs gas and time. */
import { isPermanent } from '../shared/failures';
import type { CreditAccount } from './destination';
import { permanent } from './failures';
import type { Reading } from './reading';

/** Credit is byte-epochs: what `bytes` cost for `ttl` epochs. */
export const costOf = (bytes: number, ttl: number): bigint => BigInt(Math.ceil(bytes)) * BigInt(ttl);

/** Bytes that the free credit pays for at this TTL. */
export function runwayBytes({ creditFree }: Pick<CreditAccount, 'creditFree'>, ttl: number): number {
  return Number(creditFree / BigInt(ttl));
}

/**
 * How many of these objects, in order, the owner's credit and the network's room suffice for; 0 costs nothing. Throws
 * CreditExhausted, CapacityReached or TtlRefused when not even the first fits, unless `orNone`.
 */
export async function fitting(
  { network, owner, settings }: Pick<Reading, 'network' | 'owner' | 'settings'>,
  sizes: readonly number[],
  { orNone, signal }: { orNone: boolean; signal: AbortSignal },
): Promise<number> {
  if (sizes.every((size) => size === 0)) return sizes.length;
  const { ttl } = settings;
  const [account, capacity] = await Promise.all([network.account(owner, signal), network.capacityFree(signal)]);
  if (ttl > account.maxTtl) {
    throw permanent(
      'TtlRefused',
      `objects are to live ${ttl} epochs, the account ${owner} may ask for ${account.maxTtl}: lower recall.sync.ttl and renew more often, or ask the network's operator to extend the account`,
    );
  }
  let bytes = 0;
  for (const [index, size] of sizes.entries()) {
    bytes += size;
    if (bytes <= capacity && costOf(bytes, ttl) <= account.creditFree) continue;
    if (index > 0 || orNone) return index;
    if (bytes > capacity)
      throw permanent(
        'CapacityReached',
        `the network has ${capacity} bytes left, the next object has ${size}: wait, or ask its operator`,
      );
    throw permanent('CreditExhausted', creditMessage(owner, account, size, ttl));
  }
  return sizes.length;
}

/** The free credit and how far it goes, for the message of whoever ran out of it. */
export function describeRunway(owner: string, account: CreditAccount, ttl: number): string {
  return (
    `the account ${owner} has ${account.creditFree} byte-epochs free (${account.creditCommitted} committed), enough for ` +
    `${runwayBytes(account, ttl)} bytes at a TTL of ${ttl} epochs`
  );
}

const remedy = 'Buy credit (buyCredit), or lower recall.sync.ttl, then resume';

function creditMessage(owner: string, account: CreditAccount, size: number, ttl: number): string {
  return `credit is used up: ${describeRunway(owner, account, ttl)}; the next object has ${size} bytes and costs ${costOf(size, ttl)}. ${remedy}`;
}

/** The chain's refusal for want of credit, with the runway; any other error as it is. */
export async function withRunway(
  error: unknown,
  { network, owner, settings }: Pick<Reading, 'network' | 'owner' | 'settings'>,
  signal: AbortSignal,
): Promise<unknown> {
  if (!isPermanent(error) || error.type !== 'CreditExhausted') return error;
  const account = await network.account(owner, signal);
  return permanent('CreditExhausted', `${error.message}; ${describeRunway(owner, account, settings.ttl)}`);
}
