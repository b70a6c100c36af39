import type { CspPlan } from '../clouds/layout.ts';

/** What the demo prints: plain lines, both sides next to each other. Colours only where a person looks, and not with NO_COLOR. */
export type Screen = {
  readonly heading: (text: string) => void;
  readonly line: (text: string) => void;
  /** Two lanes: what A did stands left, what B did right. */
  readonly lane: (side: CspPlan['key'], text: string) => void;
  /** Somebody else's words: a tool that no one here wrote. */
  readonly witness: (tool: string, text: string) => void;
  readonly verdict: (holds: 'holds' | 'fails', text: string) => void;
};

const LANE_WIDTH = 46;
const STYLES = { bold: '1', dim: '2', green: '32', red: '31', cyan: '36' } as const;

export function createScreen(startMs: number, nowMs: () => number): Screen {
  const coloured = process.stdout.isTTY === true && process.env['NO_COLOR'] === undefined;
  const style = (name: keyof typeof STYLES, text: string): string =>
    coloured ? `\u001b[${STYLES[name]}m${text}\u001b[0m` : text;
  const print = (text: string): void => {
    const seconds = ((nowMs() - startMs) / 1_000).toFixed(1).padStart(6);
    process.stdout.write(`${style('dim', seconds)}  ${text}\n`);
  };
  return {
    heading: (text) => {
      process.stdout.write('\n');
      print(style('bold', text));
    },
    line: print,
    lane: (side, text) => print(side === 'a' ? `${text.padEnd(LANE_WIDTH)}│` : `${' '.repeat(LANE_WIDTH)}│ ${text}`),
    witness: (tool, text) => print(`${style('cyan', `${tool}:`)} ${text}`),
    verdict: (holds, text) => print(`${holds === 'holds' ? style('green', 'yes') : style('red', 'NO ')}  ${text}`),
  };
}
