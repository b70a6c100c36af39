/** What a word means for whoever looks at it. */
export type Tone = 'good' | 'bad' | 'busy';
export type Paint = (text: string, tone: Tone | undefined) => string;

const SGR: Readonly<Record<Tone, string>> = { good: '32', bad: '31', busy: '33' };

export const plain: Paint = (text) => text;
const coloured: Paint = (text, tone) => (tone === undefined ? text : `\u001b[${SGR[tone]}m${text}\u001b[0m`);

/** Colours only on a terminal, and never against NO_COLOR (no-color.org: set and not empty). */
export function paintFor(isTerminal: boolean, environment: NodeJS.ProcessEnv): Paint {
  const refused = (environment['NO_COLOR'] ?? '') !== '' || environment['TERM'] === 'dumb';
  return isTerminal && !refused ? coloured : plain;
}
