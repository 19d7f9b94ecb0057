/** Where the command's words go: data on stdout in the format asked for, everything else on stderr. */

export const formats = ['text', 'json', 'jsonl'] as const;
export type Format = (typeof formats)[number];

export interface Output {
  readonly format: Format;
  /** True if stderr is a terminal: progress may be drawn there. */
  readonly terminal: boolean;
  /** One line for people, on stderr. */
  say(line: string): void;
  /** Something that happened. A line of its own with jsonl, nothing otherwise. */
  event(type: string, fields: object): void;
  /** The answer. `text` as it is; json one object; jsonl one line of type `result`. Call once. */
  answer(data: object, text: readonly string[]): void;
}

export function createOutput(format: Format): Output {
  const { stdout, stderr } = process;
  // A reader that has seen enough (`| head`) is not an error.
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  const write = (line: string): void => void stdout.write(`${line}\n`);
  return {
    format,
    terminal: stderr.isTTY,
    say: (line) => void stderr.write(`${line}\n`),
    event: (type, fields) => {
      if (format === 'jsonl') write(JSON.stringify({ at: new Date().toISOString(), type, ...fields }));
    },
    answer: (data, text) => {
      if (format === 'text') for (const line of text) write(line);
      else if (format === 'json') write(JSON.stringify(data, null, 2));
      else write(JSON.stringify({ at: new Date().toISOString(), type: 'result', ...data }));
    },
  };
}
