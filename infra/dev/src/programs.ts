import { join } from 'node:path';
import { PROGRAMS, type ProgramName, programFile, programsBuilt } from '../setup/programs.mjs';

const built = new Map<string, boolean>();

/** What to start: the one file that set-up built of the program, while it is of these very sources; else its TypeScript. */
export function programOf(root: string, name: ProgramName): string {
  const fresh = built.get(root) ?? programsBuilt(root);
  built.set(root, fresh);
  return fresh ? programFile(root, name) : join(root, PROGRAMS[name]);
}
