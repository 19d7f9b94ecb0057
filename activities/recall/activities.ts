/** The activities of the recall job, each with what repeating it does. What they need of the world comes from the worker. */
import type {
  BroadcastInput,
  BroadcastResult,
  ConfirmInput,
  ConfirmResult,
  MeasureInput,
  MeasureResult,
  OpenedRecall,
  OpenedWallet,
  OpenWalletInput,
  RecallSettings,
  SetupInput,
  SetupPlan,
  StageInput,
  StageResult,
  Survey,
  SurveyInput,
  VerifyInput,
  VerifyResult,
} from './contract';
import { confirmPlan } from './confirm';
import type { RecallNetwork } from './destination';
import { measureRows } from './measure';
import { openRecall } from './open';
import { planSetup, sendSetup } from './setup';
import type { ObjectSource } from './source';
import { stageObjects } from './stage';
import { surveyRecall } from './survey';
import { verifyObjects } from './verify';
import type { Wallet } from './wallet';
import { broadcastPlan, openWallet } from './wallet-lane';

export interface RecallDeps {
  /** One pool a process, made when it is first asked for. Throws SourceRefused where none is configured. */
  readonly source: () => ObjectSource;
  /** By name. Throws NetworkRefused. */
  readonly network: (name: string) => RecallNetwork;
  /** Whose keys this worker has; empty on one that only reads and uploads. */
  readonly wallets: readonly Wallet[];
  /** Of all wallets: first the one that owns the bucket and whose credit pays. Throws WalletRefused where none is configured. */
  readonly addresses: () => readonly [string, ...string[]];
}

export interface RecallActivities {
  /** Who writes where. Reads only. */
  openRecall(settings: RecallSettings): Promise<OpenedRecall>;
  /** Reads rows, compares with the bucket, uploads what is missing. Sends no transaction; an upload repeated changes nothing. */
  stageObjects(input: StageInput): Promise<StageResult>;
  /** Waits until nothing of the wallet is in flight. Reads only. */
  openWallet(input: OpenWalletInput): Promise<OpenedWallet>;
  /** Signs and sends a plan in the order of its nonces. Repeated, it sends the same bytes. */
  broadcastPlan(input: BroadcastInput): Promise<BroadcastResult>;
  /** Waits until a plan is mined, resolved and readable. Reads only. */
  confirmPlan(input: ConfirmInput): Promise<ConfirmResult>;
  /** Plans what comes before any object, leaving out what is there. Reads only. */
  planSetup(input: SetupInput): Promise<SetupPlan>;
  /** Sends such a plan and waits for it. Repeated, it sends the same bytes. */
  sendSetup(input: { readonly plan: SetupPlan; readonly settings: Pick<RecallSettings, 'network'> }): Promise<void>;
  /** Compares. Reads only. */
  verifyObjects(input: VerifyInput): Promise<VerifyResult>;
  /** Counts what a run would send. Reads only. */
  measureRows(input: MeasureInput): Promise<MeasureResult>;
  /** Backlog, credit, expiry. Reads only. */
  surveyRecall(input: SurveyInput): Promise<Survey>;
}

export function createRecallActivities(deps: RecallDeps): RecallActivities {
  return {
    openRecall: (settings) => openRecall(deps, settings),
    stageObjects: (input) => stageObjects(deps, input),
    openWallet: (input) => openWallet(deps, input),
    broadcastPlan: (input) => broadcastPlan(deps, input),
    confirmPlan: (input) => confirmPlan(deps, input),
    planSetup: (input) => planSetup(deps, input),
    sendSetup: (input) => sendSetup(deps, input),
    verifyObjects: (input) => verifyObjects(deps, input),
    measureRows: (input) => measureRows(deps, input),
    surveyRecall: (input) => surveyRecall(deps, input),
  };
}
