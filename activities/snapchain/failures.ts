/** This job's way to say "do not retry": the shared one, held to the types that the contract lists. */
import type { ApplicationFailure } from '@temporalio/common';
import { permanent as permanentFailure } from '../shared/failures';
import type { SnapchainFailure } from './contract';

export function permanent(type: SnapchainFailure, message: string, cause?: unknown): ApplicationFailure {
  return permanentFailure(type, message, cause);
}
