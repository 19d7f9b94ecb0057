/** A show's file as a model: what it must hold after each step, computed without SQLite. */
import fc from 'fast-check';

export interface Model {
  rows: Map<number, 0 | 1>;
  holes: Map<number, { to: number; parked: boolean }>;
  lastSynced: number;
  boundaryEnd: number;
}
export const emptyModel = (): Model => ({ rows: new Map(), holes: new Map(), lastSynced: 0, boundaryEnd: 0 });

/** The last id, and past the parked ones that adjoin it. */
export function positionOf({ holes, lastSynced }: Model): number {
  let position = lastSynced;
  for (let hole = holes.get(position + 1); hole?.parked === true; hole = holes.get(position + 1)) position = hole.to;
  return position;
}

/** What may happen to an archive. */
export type Step =
  | { kind: 'append'; segments: { gap: number; flag: 0 | 1 }[] }
  | { kind: 'refused'; good: number }
  | { kind: 'park' }
  | { kind: 'late'; which: number }
  | { kind: 'reopen' | 'overtaken' };

export const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      segments: fc.array(
        fc.record({
          gap: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(5) }),
          flag: fc.constantFrom<0 | 1>(0, 0, 1),
        }),
        { minLength: 1, maxLength: 6 },
      ),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('refused' as const), good: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('park' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('late' as const), which: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('reopen' as const, 'overtaken' as const) }) },
);

/** In the words in which the test reads the file. */
export const stateOfModel = ({ rows, holes, lastSynced, boundaryEnd }: Model): string =>
  JSON.stringify([
    [...rows].sort(([left], [right]) => left - right).map(([id, flag]) => [id, flag, `audio ${id}`]),
    [...holes].sort(([left], [right]) => left - right).map(([from, { to, parked }]) => [from, to, parked]),
    [String(lastSynced), String(boundaryEnd)],
  ]);
