import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parse } from 'smol-toml';
import { z } from 'zod';
import type { BrokerAddress } from './client.ts';

export const CONTEXT_CODES = {
  CONTEXT_MISSING: {
    text: 'No context file.',
    advice: 'Name one with --context or CARNET_CONTEXT; `carnet context --help` shows its form.',
  },
  CONTEXT_INVALID: {
    text: 'The context file, or a file that it names, cannot be used.',
    advice: '`carnet context --help` shows its form.',
  },
} as const satisfies Record<string, { readonly text: string; readonly advice: string }>;
export type ContextCode = keyof typeof CONTEXT_CODES;

export class ContextError extends Error {
  override readonly name = 'ContextError';
  readonly code: ContextCode;
  constructor(code: ContextCode, text: string, cause?: unknown) {
    super(text, { cause });
    this.code = code;
  }
}

const form = z
  .strictObject({
    url: z.url({ protocol: /^https$/ }),
    /** Name in the broker's certificate. */
    serverName: z.string().min(1),
    /** The federation root, PEM. */
    rootFile: z.string().min(1),
    certificateFile: z.string().min(1).optional(),
    keyFile: z.string().min(1).optional(),
    tokenFile: z.string().min(1).optional(),
  })
  .refine(
    (c) => (c.tokenFile === undefined) !== (c.certificateFile === undefined || c.keyFile === undefined),
    'either certificateFile and keyFile, or tokenFile',
  );

export interface Context {
  readonly file: string;
  /** Absolute path of the federation root. */
  readonly rootFile: string;
  readonly address: BrokerAddress;
}

/** Where contexts are looked for (XDG Base Directory Specification). */
export const contextDirectory = (environment: NodeJS.ProcessEnv): string =>
  join(environment['XDG_CONFIG_HOME'] ?? join(environment['HOME'] ?? '/', '.config'), 'carnet');

/** `NAME` is `NAME.toml` in that folder; anything with a slash is a path; without one, `CARNET_CONTEXT`, then `default`. */
export function contextFile(wanted: string | undefined, environment: NodeJS.ProcessEnv): string {
  const name = wanted ?? environment['CARNET_CONTEXT'] ?? 'default';
  return name.includes('/') ? resolve(name) : join(contextDirectory(environment), `${name}.toml`);
}

/**
 * One broker and who we are there. Paths in the file are relative to it.
 *
 * @throws ContextError
 */
export function loadContext(wanted: string | undefined, environment: NodeJS.ProcessEnv): Context {
  const file = contextFile(wanted, environment);
  const data = formOf(file, read(file, 'CONTEXT_MISSING', `no context at ${file}`));
  const at = (path: string): string => resolve(dirname(file), path);
  // What a named file holds is never part of a message: it may be a key.
  const text = (path: string): string => read(at(path), 'CONTEXT_INVALID', `${file} names ${path}`);
  const common = { url: data.url, serverName: data.serverName, ca: text(data.rootFile) };
  const credentials: BrokerAddress['credentials'] =
    data.certificateFile !== undefined && data.keyFile !== undefined
      ? { kind: 'certificate', certificate: text(data.certificateFile), key: text(data.keyFile) }
      : { kind: 'token', token: text(data.tokenFile ?? '').trim() };
  return { file, rootFile: at(data.rootFile), address: { ...common, credentials } };
}

function formOf(file: string, text: string): z.infer<typeof form> {
  const parsed = form.safeParse(toml(file, text));
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.map(({ path, message }) =>
    [path.join('.'), message].filter((part) => part !== '').join(': '),
  );
  throw new ContextError('CONTEXT_INVALID', `${file}: ${issues.join('; ')}`, parsed.error);
}

function toml(file: string, text: string): unknown {
  try {
    return parse(text);
  } catch (cause) {
    throw new ContextError('CONTEXT_INVALID', `${file}: ${reasonOf(cause)}`, cause);
  }
}

function read(path: string, code: ContextCode, text: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new ContextError(code, `${text}: ${reasonOf(cause)}`, cause);
  }
}

/** TOML's parser shows the line it stumbled over in further lines of its message. */
const reasonOf = (cause: unknown): string => {
  // The path stands in the text already; Node would say it twice more.
  if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return 'no such file';
  return (cause instanceof Error ? cause.message : String(cause)).split('\n')[0] ?? '';
};
