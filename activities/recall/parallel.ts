/** Some at once, results in order. */

/**
 * Runs `work` over `items`, at most `limit` at a time, taking them in order. After the first error nothing new is taken; what
 * runs is waited for, then the error is thrown. `until`: false ends the taking early, and the result is that much shorter.
 */
export async function inParallel<T, R>(
  items: readonly T[],
  { limit, signal, until = () => true }: { limit: number; signal: AbortSignal; until?: () => boolean },
  work: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  let failed = false;
  const take = async (): Promise<void> => {
    while (next < items.length && !failed && until()) {
      signal.throwIfAborted();
      const index = next++;
      try {
        results[index] = await work(items[index] as T, index);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const takers = Array.from({ length: Math.min(limit, items.length) }, take);
  const ends = await Promise.allSettled(takers);
  const refused = ends.find((end) => end.status === 'rejected');
  if (refused !== undefined) throw refused.reason;
  return results;
}
