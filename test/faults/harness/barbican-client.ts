import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { daemonEnv, scratch } from '@carnet/dev';

/** Where the client goes and as whom. `names`: what a certificate's name stands for. */
export type ClientAsked = {
  readonly endpoint?: string;
  readonly project_id?: string;
  readonly ca?: string;
  readonly cert?: readonly [string, string];
  readonly token?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly names?: Readonly<Record<string, string>>;
  readonly keystone?: Readonly<Record<string, string>>;
};
export type Step = readonly [step: string, args?: Readonly<Record<string, unknown>>];
/** What the client's caller had in hand, or the exception of the client's own. */
export type Seen = { readonly value?: unknown; readonly refused?: string; readonly status?: number; readonly text?: string };

const PROGRAM = join(import.meta.dirname, 'barbican_client.py');

/** Debian's python3-barbicanclient in a process of its own; credentials go through its standard input. */
export async function barbicanClient(asked: ClientAsked, steps: readonly Step[]): Promise<readonly Seen[]> {
  const child = spawn('/usr/bin/python3', ['-I', PROGRAM], { env: { ...daemonEnv, HOME: scratch('osc') } });
  child.stdin.end(JSON.stringify({ ...asked, steps: steps.map(([step, args = {}]) => [step, args]) }));
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)]);
  if (out === '') throw new Error(`python3-barbicanclient: ${err}`);
  return JSON.parse(out);
}
