import { join } from 'node:path';
import { isProgramBuilt, PROGRAMS, type ProgramName, programFile } from '../setup/programs.mjs';

const known = new Map<string, boolean>();

function isBuilt(root: string, name: ProgramName): boolean {
  const file = programFile(root, name);
  const built = known.get(file) ?? isProgramBuilt(root, name);
  known.set(file, built);
  return built;
}

/** What to start: the one file that set-up built of the program, while it is of these very sources; else its TypeScript. */
export const programOf = (root: string, name: ProgramName): string =>
  // A broker starts the key child that was built beside it.
  isBuilt(root, name) && isBuilt(root, 'key-child') ? programFile(root, name) : join(root, PROGRAMS[name]);
