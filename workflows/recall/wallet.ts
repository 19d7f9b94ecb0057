/**
 * One writer a wallet. A wallet's nonces are a queue, so whoever plans some must be alone with it until they are mined: he
 * is the one open workflow of the wallet's id. Temporal refuses a second, and ends this one with the run that it works for.
 */
import {
  ChildWorkflowCancellationType,
  defineSignal,
  executeChild,
  getExternalWorkflowHandle,
  isCancellation,
  ParentClosePolicy,
  proxyActivities,
  sleep,
} from '@temporalio/workflow';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import type { RecallActivities } from '../../activities/recall/activities';
import type { OpenedRecall, RecallSettings, SetupCall, SetupInput } from '../../activities/recall/contract';
import { walletId, walletQueue } from '../shared/names';
import { heartbeatingStep } from '../shared/policies';

/** Asks the one who has the wallet to end its leg early. */
export const wantWallet = defineSignal('wantWallet');

/** What ends a wallet's stretch may say that another one waits. */
export interface WalletStretch {
  readonly contended?: boolean;
}

const retrySeconds = { first: 2, most: 30 };
/** Long enough for the one who waits to try once more. */
const courtesySeconds = 35;

/** Runs a child workflow as the wallet's only one, waiting for it as long as it takes. */
export async function withWallet<R extends object>(
  wallet: string,
  type: 'recallLane' | 'recallSetUp',
  input: object,
): Promise<R> {
  const workflowId = walletId(wallet);
  for (let wait = retrySeconds.first; ; wait = Math.min(wait * 2, retrySeconds.most)) {
    try {
      const result = await executeChild<(given: object) => Promise<R & WalletStretch>>(type, {
        workflowId,
        args: [input],
        cancellationType: ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
        parentClosePolicy: ParentClosePolicy.TERMINATE,
      });
      if (result.contended === true) await sleep(`${courtesySeconds} seconds`).catch(ignoreCancellation);
      return result;
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    }
    // It may have ended a moment ago.
    await getExternalWorkflowHandle(workflowId)
      .signal(wantWallet)
      .catch((error: unknown) => {
        if (isCancellation(error)) throw error;
      });
    await sleep(`${wait} seconds`);
  }
}

/** The result in hand is worth more than the courtesy. */
function ignoreCancellation(error: unknown): void {
  if (!isCancellation(error)) throw error;
}

/** A bucket of the job's own and the delegates' approvals, made once: what is there is found, not made again. */
export async function setUpNetwork(
  { owner, bucket, unapproved }: OpenedRecall,
  settings: RecallSettings,
): Promise<void> {
  const calls: SetupCall[] = unapproved.map((to) => ({ kind: 'approveCredit', to }));
  if (bucket === null) calls.unshift({ kind: 'createBucket', owner, name: settings.name });
  const input: SetupInput = { wallet: owner, calls, settings };
  await withWallet(owner, 'recallSetUp', input);
}

/** Plans the calls, and only then signs and sends them: in history between the two are their nonces. */
export async function recallSetUp({ wallet, calls, settings }: SetupInput): Promise<WalletStretch> {
  const activities = proxyActivities<RecallActivities>({
    ...heartbeatingStep(settings),
    taskQueue: walletQueue(wallet),
  });
  const plan = await activities.planSetup({ wallet, calls, settings });
  if (plan.calls.length > 0) await activities.sendSetup({ plan, settings });
  return {};
}
