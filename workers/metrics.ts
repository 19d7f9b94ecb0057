/** Our own numbers, by the SDK's metric meter: what legs moved, per job and lane's kind, on the same page as Temporal's. */
import { metricMeter } from '@temporalio/activity';
import { isLegResult } from '../activities/shared/contract';

type AnyActivities = Readonly<Record<string, (input: never) => Promise<unknown>>>;

/** Wraps activities so that what a leg returns is counted: `waybill_moved_total{job,kind}`, `waybill_parked_total{job}`. */
export function meteredActivities<A extends object>(job: string, activities: A): A {
  const wrapped = Object.entries(activities as AnyActivities).map(([name, activity]) => [
    name,
    async (input: never): Promise<unknown> => {
      const result = await activity(input);
      if (isLegResult(result)) count(job, name, result.counts, result.parked.length);
      else if (isConfirmation(result)) count(job, name, { objects: result.confirmed, bytes: result.bytes }, 0);
      return result;
    },
  ]);
  return Object.fromEntries(wrapped) as A;
}

/** Of a leg that is a workflow, the step in which something arrives. */
function isConfirmation(value: unknown): value is { readonly confirmed: number; readonly bytes: number } {
  return typeof value === 'object' && value !== null && 'confirmed' in value && 'bytes' in value;
}

function count(job: string, activity: string, counts: Readonly<Record<string, number>>, parked: number): void {
  const moved = metricMeter.createCounter('waybill_moved', '1', 'What legs have moved, by kind');
  for (const [kind, value] of Object.entries(counts)) if (value > 0) moved.add(value, { job, activity, kind });
  metricMeter.createCounter('waybill_legs', '1', 'Legs completed').add(1, { job, activity });
  if (parked > 0) metricMeter.createCounter('waybill_parked', '1', 'Records parked').add(parked, { job, activity });
}
