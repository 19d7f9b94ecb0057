/** What native and docker services share. These servers listen on 127.0.0.1 only and live as long as one run. */

/** Known to everybody, since they protect nothing: the S3 protocol wants some. */
export const s3Key = 'waybill';
export const s3Secret = 'waybill-loopback-only';

/** By which `waybill status` and the Temporal UI find the runs of a job, and those in a state. */
export const searchAttributes = ['--search-attribute', 'SyncJob=Keyword', '--search-attribute', 'SyncState=Keyword'];
