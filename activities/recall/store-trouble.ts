/** What an object store refuses, sorted: the record's trouble, a person's with its remedy, or the world's. */
import { codeOf, isPermanent, reasonOf, RecordRefused } from '../shared/failures';
import { permanent } from './failures';

/** The object that a row names is not there. */
export class ObjectAbsent extends RecordRefused {}

/** By the store's names of its errors. */
const remedies: Readonly<Record<string, string>> = {
  AccessDenied:
    'allow s3:GetObject on it, and s3:ListBucket on the bucket: without that, S3 says the same of an object that is not there',
  InvalidAccessKeyId: 'correct recall.s3.access_key_id',
  SignatureDoesNotMatch: 'correct recall.s3.secret_access_key',
  InvalidToken: 'renew the credentials',
  ExpiredToken: 'renew the credentials',
  CredentialsProviderError:
    'give recall.s3.access_key_id and secret_access_key, or AWS credentials as the AWS SDK finds them',
  RequestTimeTooSkewed: 'set the clock of the worker’s host',
  NoSuchBucket: 'correct recall.s3.bucket',
  InvalidBucketName: 'correct recall.s3.bucket',
  PermanentRedirect: 'correct recall.s3.region or endpoint',
  AuthorizationHeaderMalformed: 'correct recall.s3.region',
};
/** By the status, where an answer has no name of its own, as one to HEAD. */
const namesByStatus: Readonly<Record<number, string>> = {
  301: 'PermanentRedirect',
  403: 'AccessDenied',
  404: 'NoSuchKey',
  412: 'PreconditionFailed',
};
const recordRefusals: Readonly<Record<string, string>> = {
  PreconditionFailed: 'it was replaced while it was read',
  InvalidObjectState: 'it is archived, and must be restored first',
};

const absences = ['NoSuchKey', 'NotFound'];

/** `shown`: `s3://bucket/key`. */
export function storeTrouble(error: unknown, shown: string): unknown {
  if (isPermanent(error) || error instanceof RecordRefused) return error;
  const { name, status } = answerOf(error);
  const known = [name, namesByStatus[status] ?? ''].find(isKnown);
  if (known !== undefined) {
    if (absences.includes(known)) return new ObjectAbsent(`${shown}: there is no such object`);
    const refusal = recordRefusals[known];
    if (refusal !== undefined) return new RecordRefused(`${shown}: ${refusal}`);
    return permanent('StoreRefused', `${shown}: ${known}: ${remedies[known]}`);
  }
  if (/region is missing/i.test(reasonOf(error)))
    return permanent('StoreRefused', `${shown}: no region is known: give recall.s3.region`);
  const reason = [status === 0 ? '' : `HTTP ${status}`, codeOf(error) || name, reasonOf(error)]
    .filter(Boolean)
    .join(' ');
  return new Error(`${shown}: ${reason}`, { cause: error });
}

const isKnown = (name: string): boolean => name in remedies || name in recordRefusals || absences.includes(name);

function answerOf(error: unknown): { name: string; status: number } {
  if (typeof error !== 'object' || error === null) return { name: '', status: 0 };
  const name = 'name' in error ? String(error.name) : '';
  const metadata = '$metadata' in error ? (error.$metadata as { httpStatusCode?: number } | undefined) : undefined;
  return { name, status: metadata?.httpStatusCode ?? 0 };
}
