import { join, resolve } from 'node:path';

/** Where contexts are looked for (XDG Base Directory Specification). */
export const contextDirectory = (environment: NodeJS.ProcessEnv): string =>
  join(environment['XDG_CONFIG_HOME'] ?? join(environment['HOME'] ?? '/', '.config'), 'carnet');

/** `--context NAME` is `NAME.toml` in the configuration folder; anything with a slash is a path. */
export function contextFile(wanted: string | undefined, environment: NodeJS.ProcessEnv): string {
  const name = wanted ?? environment['CARNET_CONTEXT'] ?? 'default';
  return name.includes('/') ? resolve(name) : join(contextDirectory(environment), `${name}.toml`);
}
