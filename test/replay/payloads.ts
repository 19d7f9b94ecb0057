/** Payloads of a history in JSON, where their bytes are base64. */

interface Payload {
  readonly metadata: Readonly<Record<string, string>>;
  readonly data?: string;
}

const isPayload = (value: object): value is Payload =>
  'metadata' in value && typeof value.metadata === 'object' && value.metadata !== null && 'encoding' in value.metadata;

/** Every payload's content, wherever it stands. */
export function payloadsOf(value: unknown): Buffer[] {
  if (typeof value !== 'object' || value === null) return [];
  if (isPayload(value)) return [Buffer.from(value.data ?? '', 'base64')];
  return Object.values(value).flatMap(payloadsOf);
}

/** A copy in which each payload's text went through `change`. */
export function payloadsReplaced(value: unknown, change: (text: string) => string): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((each) => payloadsReplaced(each, change));
  if (isPayload(value)) {
    if (value.data === undefined) return value;
    return { ...value, data: Buffer.from(change(Buffer.from(value.data, 'base64').toString())).toString('base64') };
  }
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, payloadsReplaced(each, change)]));
}
