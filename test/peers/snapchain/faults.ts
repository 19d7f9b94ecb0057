/**
 * What can go wrong with a call, as rules: which calls, how often, and what happens to them. The same rules and the
 * same calls break at the same places; chances come from a seed.
 */
import type { Page } from './snapshot';
import type { Leaf } from './account';
import { randomOf } from './random';

/** A fault in what a page says. Each changes one entry: the one in the middle. */
export type PageFault =
  | 'corruptHash'
  | 'corruptSignature'
  | 'corruptData'
  | 'corruptRoot'
  | 'wrongCount'
  | 'dropEntry'
  /** With all that is told of it: its root as well. */
  | 'dropAccount'
  | 'duplicateEntry'
  | 'foreignEntry';

export type Fault =
  /** Answers with a code instead: 14 UNAVAILABLE, 4 DEADLINE_EXCEEDED, 12 UNIMPLEMENTED, or any other. */
  | { readonly kind: 'status'; readonly code: number; readonly details: string }
  /** Never answers. */
  | { readonly kind: 'silence' }
  | { readonly kind: 'slow'; readonly delayMs: number }
  /** Half of the (first) message, then a reset. */
  | { readonly kind: 'reset' }
  /** Of a stream: ends with UNAVAILABLE after so many messages. */
  | { readonly kind: 'cut'; readonly afterMessages: number }
  /** The snapshots of the shard are gone from now on. */
  | { readonly kind: 'loseSnapshots' }
  /** All connections are dropped and all snapshots; new ones are taken at the present height. */
  | { readonly kind: 'restart' }
  /** The page grows by an unknown field of so many bytes. */
  | { readonly kind: 'padding'; readonly bytes: number }
  /** Bytes that are no message at all. */
  | { readonly kind: 'garbage' }
  | { readonly kind: PageFault };

export interface FaultRule {
  /** The method's last part: `GetShardTransactions`. Absent: every call. */
  readonly method?: string;
  readonly shard?: number;
  readonly virtualShard?: number;
  /** Only the nth call that matches, counted from 1. */
  readonly nth?: number;
  /** Every so many matching calls. */
  readonly every?: number;
  /** From 0 to 1. */
  readonly chance?: number;
  /** No more often than this. */
  readonly timesMax?: number;
  readonly fault: Fault;
}

export interface CallFacts {
  readonly method: string;
  readonly shard: number | undefined;
  readonly virtualShard: number | undefined;
}

/** Decides, call by call; `done` counts what was injected, by kind. */
export class Faults {
  readonly done = new Map<string, number>();
  #rules: { rule: FaultRule; seen: number; used: number }[] = [];
  readonly #random: () => number;

  constructor(seed = 1, rules: readonly FaultRule[] = []) {
    this.#random = randomOf(seed);
    this.set(rules);
  }

  /** Replaces the rules; their counts begin anew. */
  set(rules: readonly FaultRule[]): void {
    this.#rules = rules.map((rule) => ({ rule, seen: 0, used: 0 }));
  }

  /** The faults of one call: of the rules that match, those whose turn it is. */
  for(facts: CallFacts): Fault[] {
    const faults: Fault[] = [];
    for (const state of this.#rules) {
      const { rule } = state;
      if (rule.method !== undefined && !facts.method.endsWith(`/${rule.method}`)) continue;
      if (rule.shard !== undefined && rule.shard !== facts.shard) continue;
      if (rule.virtualShard !== undefined && rule.virtualShard !== facts.virtualShard) continue;
      state.seen += 1;
      if (rule.nth !== undefined && rule.nth !== state.seen) continue;
      if (rule.every !== undefined && state.seen % rule.every !== 0) continue;
      if (rule.timesMax !== undefined && state.used >= rule.timesMax) continue;
      if (rule.chance !== undefined && this.#random() >= rule.chance) continue;
      state.used += 1;
      this.done.set(rule.fault.kind, (this.done.get(rule.fault.kind) ?? 0) + 1);
      faults.push(rule.fault);
    }
    return faults;
  }
}

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}

/** Where a message's hash, signature or text begins on the wire: after field 1 comes hash, scheme, signature. */
function changedMessage(leaf: Leaf, fault: PageFault): Leaf {
  const hash = leaf.key.slice(6);
  const at = leaf.wire.indexOf(Buffer.from(hash, 'latin1'));
  const offsets: Partial<Record<PageFault, number>> = { corruptHash: 3, corruptSignature: 20 + 2 + 2 + 9 };
  const offset = offsets[fault];
  return { ...leaf, wire: flipped(leaf.wire, offset === undefined ? leaf.wire.length - 1 : at + offset) };
}

/** The page with one fault in it; the page itself if it has nothing the fault could touch. */
export function spoilPage(page: Page, fault: PageFault): Page {
  const messages = page.leaves.filter((leaf) => leaf.kind === 'message');
  const victim = messages[messages.length >> 1] ?? page.leaves[page.leaves.length >> 1];
  if (!victim) return page;
  const replace = (...by: Leaf[]): Page => ({
    ...page,
    leaves: page.leaves.flatMap((leaf) => (leaf === victim ? by : [leaf])),
  });
  switch (fault) {
    case 'corruptHash':
    case 'corruptSignature':
    case 'corruptData':
      return victim.kind === 'message' ? replace(changedMessage(victim, fault)) : page;
    case 'dropEntry':
      return replace();
    case 'dropAccount': {
      const account = victim.key.slice(0, 5);
      const fid = Buffer.from(account, 'latin1').readUInt32BE(1);
      return {
        ...page,
        leaves: page.leaves.filter(({ key }) => !key.startsWith(account)),
        roots: page.roots.filter((root) => root.fid !== fid),
      };
    }
    case 'duplicateEntry':
      return replace(victim, victim);
    case 'foreignEntry': {
      const elsewhere = String.fromCharCode(victim.key.charCodeAt(0) ^ 1) + victim.key.slice(1);
      return replace({ ...victim, key: elsewhere });
    }
    case 'corruptRoot':
      return {
        ...page,
        roots: page.roots.map((root, at) => (at === 0 ? { ...root, root: flipped(root.root, 0) } : root)),
      };
    case 'wrongCount':
      return { ...page, roots: page.roots.map((root, at) => (at === 0 ? { ...root, count: root.count + 1 } : root)) };
  }
}
