/**
 * Subscribe as a doorbell: block confirmations of one shard, of which only the greatest height is kept. It may miss any
 * number of them, or be out of order, without harm: who waits for it asks for events all the same.
 */
import { decodeEventHead, eventTypes } from './event';
import type { GrpcCalls } from './grpc-calls';
import type { Doorbell } from './source';
import { wireType } from './schema';

const question = wireType<{ eventTypes: number[]; shardIndex: number }>('SubscribeQuestion');

export function openDoorbell(calls: GrpcCalls, shardIndex: number): Doorbell {
  let heard = -1;
  let listening: AbortController | null = null;
  const waiting = new Set<() => void>();

  const listen = async (stop: AbortController): Promise<void> => {
    const what = `Subscribe to shard ${shardIndex}`;
    const request = question.encode({ eventTypes: [eventTypes.blockConfirmed], shardIndex });
    try {
      const stream = calls.stream({ method: 'HubService/Subscribe', request, what, signal: stop.signal });
      for await (const { bytes } of stream) {
        heard = Math.max(heard, decodeEventHead(bytes, what).blockNumber);
        for (const wake of waiting) wake();
      }
    } catch {
      // Told by silence: the wait runs out, its caller asks the node, and is told there what is wrong.
    } finally {
      if (listening === stop) listening = null;
    }
  };

  return {
    rings: (beyondHeight, withinMs, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason as Error);
        if (heard > beyondHeight) return resolve(true);
        if (listening === null) {
          listening = new AbortController();
          void listen(listening);
        }
        const over = (end: () => void): void => {
          clearTimeout(timer);
          waiting.delete(wake);
          signal?.removeEventListener('abort', stopped);
          end();
        };
        const timer = setTimeout(() => over(() => resolve(false)), withinMs);
        const wake = (): void => {
          if (heard > beyondHeight) over(() => resolve(true));
        };
        const stopped = (): void => over(() => reject(signal?.reason as Error));
        waiting.add(wake);
        signal?.addEventListener('abort', stopped, { once: true });
      }),
    close: () => {
      listening?.abort(new Error('doorbell closed'));
      listening = null;
    },
  };
}
