import { parseArgs } from 'node:util';

export const USAGE = `usage: npm run demo [-- --keep] [-- --report FILE]

Two clouds on this machine, csp-a.example and csp-b.example, move one encrypted VM and its key:
cold to B, suspended back to A, and once with a disk that fails at B. Then all ledgers are audited.

  --keep           leave everything running afterwards, with both consoles, and say how to use it; Ctrl-C ends it
  --report FILE    write what was seen and measured as JSON
  -h, --help       this text
`;

export type DemoOptions = { readonly keep: boolean; readonly report?: string };

/** The command line, or the text to print and the code to leave with. */
export function readOptions(args: readonly string[]): DemoOptions | { readonly text: string; readonly exitCode: number } {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        keep: { type: 'boolean', default: false },
        report: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (values.help) return { text: USAGE, exitCode: 0 };
    return { keep: values.keep, ...(values.report === undefined ? {} : { report: values.report }) };
  } catch (cause) {
    return { text: `${cause instanceof Error ? cause.message : String(cause)}\n\n${USAGE}`, exitCode: 2 };
  }
}
