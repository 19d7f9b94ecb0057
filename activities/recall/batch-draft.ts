/** A batch as it grows, and what its transactions will offer once it is whole. */
import type { Batch, RecallSettings } from './contract';
import { withRunway } from './credit';
import { addObjectCall, packObject, type StagedObject } from './plan';
import type { Reading } from './reading';

/** Over the chain's own estimate: the state an object is added to grows meanwhile, and too little gas loses what it bought. */
const gasMargin = { times: 13n, per: 10n };

type Kept = Pick<Batch, 'folders' | 'objects' | 'bytes'>;

export class BatchDraft {
  private readonly folders: (readonly [string, string])[];
  private readonly objects: string[];
  private readonly indexes: Map<string, number>;
  private bytes: number;

  constructor(
    private readonly reading: Reading,
    private readonly settings: RecallSettings,
    kept: Kept = { folders: [], objects: [], bytes: 0 },
  ) {
    this.folders = [...kept.folders];
    this.objects = [...kept.objects];
    this.bytes = kept.bytes;
    this.indexes = new Map(this.folders.map((folder, index) => [JSON.stringify(folder), index]));
  }

  get isEmpty(): boolean {
    return this.objects.length === 0;
  }

  get room(): number {
    return this.settings.batchSize - this.objects.length;
  }

  add(object: StagedObject): void {
    const folder = [object.folder, object.contentType] as const;
    const name = JSON.stringify(folder);
    const index = this.indexes.get(name) ?? this.folders.push(folder) - 1;
    this.indexes.set(name, index);
    this.objects.push(packObject(object, index));
    this.bytes += object.size;
  }

  kept(): Kept {
    const { folders, objects, bytes } = this;
    return { folders, objects, bytes };
  }

  /** With gas and fees of now; null if there is nothing. */
  async finish(signal: AbortSignal): Promise<Batch | null> {
    if (this.isEmpty) return null;
    const { network, bucket, wallet } = this.reading;
    const { ttl, overwrite } = this.settings;
    const [node, tip] = await Promise.all([network.node(signal), network.tip(signal)]);
    const draft = { ...this.kept(), bucket, node, ttl, overwrite };
    const gas = await network
      .estimateAdd(wallet, bucket, addObjectCall(draft, 0), signal)
      .catch(async (error: unknown) => Promise.reject((await withRunway(error, this.reading, signal)) as Error));
    return {
      ...draft,
      gasLimit: String((gas * gasMargin.times) / gasMargin.per),
      maxFeePerGas: String(tip.maxFeePerGas),
      maxPriorityFeePerGas: String(tip.maxPriorityFeePerGas),
    };
  }
}
