import { compiledFolder } from '../setup/programs.mjs';
import { asSelf, type RunAs } from './identity.ts';
import { privateDir } from './scratch.ts';
import { daemonEnv, repositoryRoot } from './tools.ts';

const NO_WARNING = '--disable-warning=ExperimentalWarning';

/**
 * `daemonEnv` for a program of ours, with more of NODE_OPTIONS if need be. What Node has compiled is kept for that user's next start;
 * where a user cannot reach the clone, Node goes on without.
 */
export const nodeEnv = (as: RunAs = asSelf(), options?: string): Readonly<Record<string, string>> => ({
  ...daemonEnv,
  NODE_OPTIONS: options === undefined ? NO_WARNING : `${NO_WARNING} ${options}`,
  NODE_COMPILE_CACHE: privateDir(compiledFolder(repositoryRoot, as.identity.name), as),
});
