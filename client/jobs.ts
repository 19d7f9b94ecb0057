/** Every job the command knows, by kind. */
import type { JobKind } from '../workflows/shared/names';
import { audio } from './audio/command';
import { recall } from './recall/command';
import { snapchain } from './snapchain/command';
import type { JobCommand } from './verb';

export const jobs: Readonly<Record<JobKind, JobCommand>> = { recall, snapchain, audio };
