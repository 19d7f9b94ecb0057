/** Names that Temporal keeps: job kinds, task queues, schedule and workflow ids. Wire format: add, never rename. */

/** The jobs that exist. A job's name is the same word everywhere: folder, command, task queue, id, configuration table. */
export const jobKinds = ['recall', 'snapchain', 'audio'] as const;
export type JobKind = (typeof jobKinds)[number];

/** Workflow types by job: what `run` starts. Type names are what `temporal workflow start --type` takes. */
export const syncWorkflow: Readonly<Record<JobKind, string>> = {
  recall: 'recallSync',
  snapchain: 'snapchainSync',
  audio: 'audioSync',
};

/** Where a job's work happens. Files belong to a host, so audio's queue names it; rows, chain and nodes belong to nobody's. */
export function taskQueue(kind: JobKind, host: string): string {
  switch (kind) {
    case 'recall':
      return 'waybill-recall';
    case 'snapchain':
      return 'waybill-snapchain';
    case 'audio':
      return `waybill-audio@${host}`;
  }
}

/** Where a wallet's transactions are signed: its workers have the key, and one slot for it. */
export function walletQueue(address: string): string {
  return `waybill-recall@${address.toLowerCase()}`;
}

/** The one open workflow that may plan a wallet's nonces has this id, whatever the network: Temporal refuses a second. */
export function walletId(address: string): string {
  return `recall/wallet/${address.toLowerCase()}`;
}

/** A job is a schedule of this id; its runs are workflows of this id plus the time they were due. */
export function jobId(kind: JobKind, name: string): string {
  return `${kind}/${name}`;
}

/** Search attributes; a worker registers them at its start. */
export const syncJobAttribute = 'SyncJob';
export const syncStateAttribute = 'SyncState';

/** What the id of a run ends with that is a lane of another: `<that one's id>/<this>`. */
export const partName = (lane: string): string => lane.replaceAll(' ', '-');
