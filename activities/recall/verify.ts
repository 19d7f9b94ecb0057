/** Source rows compared with the chain's record of them and, if asked, with the bytes that the network gives back. Reads only. */
import { createHash } from 'node:crypto';
import { runLeg, type Leg } from '../shared/leg';
import type { RecallDeps } from './activities';
import { compareRows, type Comparing, type Comparison } from './compare';
import type { RecallVerdict, RowPosition, VerifyCursor, VerifyInput, VerifyResult, VerifySettings } from './contract';
import { permanent } from './failures';
import { inParallel } from './parallel';
import type { ObjectRow } from './source';

const pageRows = 500;
const nothingFound: RecallVerdict = {
  matched: 0,
  differing: 0,
  missing: 0,
  notYetSynced: 0,
  unproved: 0,
  bytesRead: 0,
  samples: [],
};

export function verifyObjects(deps: RecallDeps, input: VerifyInput): Promise<VerifyResult> {
  return runLeg<VerifyCursor>(input, async (leg) => {
    const { settings } = input;
    const comparing = await opened(deps, settings, leg);
    const { source, signal } = comparing;
    const { before } = await source.watermark(settings.settleSeconds, signal);
    const { since, until, competitions, agents, dataTypes } = settings;
    const filter = { since, until: until ?? before, competitions, agents, dataTypes, share: 1, of: 1 };
    let { afterId, verdict } = leg.cursor ?? { afterId: '', verdict: nothingFound };
    while (leg.hasTime()) {
      const range = { afterId, since: null, upTo: null, limit: pageRows, digest: false };
      const page = await source.sweep(filter, range, signal);
      const rows = page.filter(({ id }) => isSampled(id, settings.sample));
      const findings = await findingsOf(comparing, rows, settings);
      verdict = withFindings(verdict, findings, settings.differencesMax);
      afterId = page.at(-1)?.id ?? afterId;
      leg.kept({ afterId, verdict }, { compared: rows.length });
      if (page.length < pageRows) return { drained: true };
    }
    return { drained: false };
  });
}

async function opened(deps: RecallDeps, settings: VerifySettings, { signal, alive }: Leg<unknown>): Promise<Comparing> {
  const source = deps.source();
  await source.check(signal);
  const network = deps.network(settings.network);
  const bucket = settings.bucket || (await network.bucketOf(deps.addresses()[0], settings.name, signal));
  if (bucket === null)
    throw permanent(
      'BucketRefused',
      `there is no bucket named ${settings.name} yet: run the job first, or name one by --bucket`,
    );
  return { source, network, bucket, lookBackEpochs: settings.ttl, parallel: settings.uploads, signal, alive };
}

/** The same rows every time: a UUID's last digits are random in every version that is in use. */
export function isSampled(id: string, sample: number): boolean {
  return sample === 1 || parseInt(id.slice(-7), 16) < sample * 16 ** 7;
}

interface Finding {
  readonly kind: 'matched' | 'differing' | 'missing' | 'notYetSynced' | 'unproved';
  readonly id: string;
  readonly why?: string;
  readonly bytesRead?: number;
}

async function findingsOf(
  comparing: Comparing,
  rows: readonly ObjectRow[],
  { bytes, syncedTo }: VerifySettings,
): Promise<Finding[]> {
  const compared = await compareRows(comparing, rows);
  return await inParallel(
    rows,
    { limit: bytes ? comparing.parallel : rows.length, signal: comparing.signal },
    (row, index) => findingOf(comparing, row, compared[index] as Comparison, { bytes, syncedTo }),
  );
}

async function findingOf(
  comparing: Comparing,
  row: ObjectRow,
  comparison: Comparison,
  { bytes, syncedTo }: Pick<VerifySettings, 'bytes' | 'syncedTo'>,
): Promise<Finding> {
  const { id } = row;
  switch (comparison.kind) {
    case 'absent':
      if (syncedTo !== null && isBeyond(row, syncedTo)) return { kind: 'notYetSynced', id };
      return { kind: 'missing', id, why: 'the bucket has no live object of it' };
    case 'differs':
      return { kind: 'differing', id, why: comparison.why };
    case 'unproved':
      return { kind: 'unproved', id, why: comparison.why };
    case 'same':
      if (!bytes) return { kind: 'matched', id };
      return await readBack(comparing, id, comparison);
  }
}

async function readBack(
  { network, bucket, signal, alive }: Comparing,
  id: string,
  { folder, object }: Extract<Comparison, { kind: 'same' }>,
): Promise<Finding> {
  const stream = await network.read(bucket, folder + id, signal);
  if (stream === null) return { kind: 'missing', id, why: 'the network does not give its bytes' };
  const hash = createHash('sha256');
  let bytesRead = 0;
  for await (const chunk of stream) {
    hash.update(chunk);
    bytesRead += chunk.length;
    alive();
  }
  const found = hash.digest('hex');
  const recorded = object.metadata['sha256'];
  if (found === recorded) return { kind: 'matched', id, bytesRead };
  return { kind: 'differing', id, bytesRead, why: `its bytes have sha256 ${found}, its record says ${recorded}` };
}

/** PostgreSQL's own texts of UTC times order as the times do: '+' sorts before '.', and '.' before digits. */
function isBeyond(row: RowPosition, position: RowPosition): boolean {
  return row.createdAt === position.createdAt ? row.id > position.id : row.createdAt > position.createdAt;
}

function withFindings(verdict: RecallVerdict, findings: readonly Finding[], samplesMax: number): RecallVerdict {
  const count = (kind: Finding['kind']): number => findings.filter((finding) => finding.kind === kind).length;
  const named = findings.flatMap(({ kind, id, why }) => (why === undefined ? [] : [`${kind} ${id}: ${why}`]));
  return {
    matched: verdict.matched + count('matched'),
    differing: verdict.differing + count('differing'),
    missing: verdict.missing + count('missing'),
    notYetSynced: verdict.notYetSynced + count('notYetSynced'),
    unproved: verdict.unproved + count('unproved'),
    bytesRead: findings.reduce((sum, { bytesRead = 0 }) => sum + bytesRead, verdict.bytesRead),
    samples: [...verdict.samples, ...named].slice(0, samplesMax),
  };
}
