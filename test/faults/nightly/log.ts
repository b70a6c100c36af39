import { existsSync, readFileSync } from 'node:fs';

/** The lines that a log gets from now on, and that contain the text. Logs are appended to, by each life of their daemon. */
export function linesFromNow(file: string): (text: string) => readonly string[] {
  const contents = (): Buffer => (existsSync(file) ? readFileSync(file) : Buffer.alloc(0));
  const from = contents().length;
  return (text) =>
    contents()
      .subarray(from)
      .toString('utf8')
      .split('\n')
      .filter((line) => line.includes(text));
}

/** Of a line of ours: what stands in this field, or nothing. */
export function fieldOf(line: string, name: string): string | undefined {
  try {
    const said: unknown = JSON.parse(line);
    const fields = new Map<string, unknown>(typeof said === 'object' && said !== null ? Object.entries(said) : []);
    return fields.has(name) ? String(fields.get(name)) : undefined;
  } catch {
    return undefined;
  }
}

/** What those of these lines that are ours have for their time, in milliseconds. */
export const timesOf = (lines: readonly string[]): readonly number[] =>
  lines.map((line) => Date.parse(fieldOf(line, 'time') ?? '')).filter((ms) => !Number.isNaN(ms));
