/** What Temporal and the processes keep of a job, as text to look through, and the forms in which a secret could be in it. */
import type { Client } from '@temporalio/client';

export interface Trace {
  /** Where it was found. */
  readonly of: string;
  readonly text: string;
}

/** Of every workflow, the ended ones included: its history, and what it waits for at the moment. Of every schedule: its action. */
export async function temporalTraces(client: Client): Promise<Trace[]> {
  const traces: Trace[] = [];
  for await (const { workflowId, runId } of client.workflow.list()) {
    const run = client.workflow.getHandle(workflowId, runId);
    traces.push({ of: `the history of ${workflowId}`, text: textOf(await run.fetchHistory()) });
    traces.push({ of: `the description of ${workflowId}`, text: textOf((await run.describe()).raw) });
  }
  for await (const { scheduleId } of client.schedule.list()) {
    const { raw } = await client.schedule.getHandle(scheduleId).describe();
    traces.push({ of: `the schedule ${scheduleId}`, text: textOf(raw) });
  }
  return traces;
}

/** All texts and bytes in a message as it came from the server: payloads are among them, undecoded. */
export function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  if (value instanceof Uint8Array || Buffer.isBuffer(value)) return Buffer.from(value).toString('latin1');
  if (typeof value !== 'object' || value === null) return '';
  return Object.entries(value)
    .map(([key, each]) => `${key} ${textOf(each)}`)
    .join('\n');
}

/** The secret as it is, as hexadecimal digits, in a URL, and in base64 at any place of a longer text. */
export function formsOf(secret: Buffer): string[] {
  const base64 = [0, 1, 2].flatMap((before) => {
    const whole = Buffer.concat([Buffer.alloc(before), secret]);
    // Digits that hold bits of what stands before or after it are left out.
    const from = Math.ceil((before * 8) / 6);
    const to = Math.floor((whole.length * 8) / 6);
    return (['base64', 'base64url'] as const).map((encoding) => whole.toString(encoding).slice(from, to));
  });
  const plain = [secret.toString('latin1'), encodeURIComponent(secret.toString('latin1')), secret.toString('hex')];
  return [...new Set([...plain, ...base64])];
}

/** `<secret> in <trace>` for each that is found; the letters' case is nothing. */
export function leaks(secrets: Readonly<Record<string, Buffer>>, traces: readonly Trace[]): string[] {
  const forms = Object.entries(secrets).map(
    ([name, secret]) => [name, formsOf(secret).map((form) => form.toLowerCase())] as const,
  );
  return traces.flatMap(({ of, text }) => {
    const lower = text.toLowerCase();
    return forms.filter(([, each]) => each.some((form) => lower.includes(form))).map(([name]) => `${name} in ${of}`);
  });
}
