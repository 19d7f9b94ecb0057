/** Who writes where, before a run begins: wallets, bucket, approvals. Reads only. */
import { Context } from '@temporalio/activity';
import type { RecallDeps } from './activities';
import type { OpenedRecall, RecallSettings } from './contract';

/** Throws SourceRefused, NetworkRefused, WalletRefused: what is wrong with a configuration is said before anything is moved. */
export async function openRecall(deps: RecallDeps, settings: RecallSettings): Promise<OpenedRecall> {
  const signal = Context.current().cancellationSignal;
  const wallets = deps.addresses();
  const [owner] = wallets;
  await deps.source().check(signal);
  const network = deps.network(settings.network);
  await network.check(signal);
  const [bucket, account] = await Promise.all([
    settings.bucket || network.bucketOf(owner, settings.name, signal),
    network.account(owner, signal),
  ]);
  const approved = new Set(account.approved.map((address) => address.toLowerCase()));
  const unapproved = wallets.slice(1).filter((address) => !approved.has(address.toLowerCase()));
  return { chainId: network.chainId, owner, wallets, bucket, unapproved };
}
