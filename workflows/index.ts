/** The workflows that the workers bundle. Exported names are workflow types: wire format. */
export { audioRebase, audioRetention, audioSync, audioVerify } from './audio';
export { snapchainScan, snapchainSurvey, snapchainSync, snapchainTail, snapchainVerify } from './snapchain';
export { recallDryRun, recallRenew, recallSurvey, recallSync, recallVerify } from './recall';
export { recallLane } from './recall/lane';
export { recallSetUp } from './recall/wallet';
