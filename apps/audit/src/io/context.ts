import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { BrokerAddress } from '@carnet/publisher';
import { parse } from 'smol-toml';
import { z } from 'zod';
import { AuditError, EXIT } from '../exit.ts';

/** The same file that `carnet` reads: one broker and who we are there. Paths are relative to the file. */
const contextFile = z
  .strictObject({
    url: z.url({ protocol: /^https$/ }),
    serverName: z.string().min(1),
    rootFile: z.string().min(1),
    certificateFile: z.string().min(1).optional(),
    keyFile: z.string().min(1).optional(),
    tokenFile: z.string().min(1).optional(),
  })
  .refine(
    (c) => (c.tokenFile === undefined) !== (c.certificateFile === undefined || c.keyFile === undefined),
    'either certificateFile and keyFile, or tokenFile',
  );

export type AuditContext = { readonly file: string; readonly rootFile: string; readonly address: BrokerAddress };

/** `NAME` is `NAME.toml` in the configuration folder of `carnet`; anything with a slash is a path. */
export function contextPath(name: string, environment: NodeJS.ProcessEnv): string {
  const home = environment['XDG_CONFIG_HOME'] ?? join(environment['HOME'] ?? '/', '.config');
  return name.includes('/') ? resolve(name) : join(home, 'carnet', `${name}.toml`);
}

/** @throws AuditError CONTEXT_MISSING, CONTEXT_INVALID, FILE_UNREADABLE */
export function loadContext(name: string, environment: NodeJS.ProcessEnv): AuditContext {
  const file = contextPath(name, environment);
  const data = parseContext(file, read(file, 'CONTEXT_MISSING'));
  const at = (path: string): string => resolve(dirname(file), path);
  const text = (path: string | undefined): string => (path === undefined ? '' : read(at(path), 'FILE_UNREADABLE'));
  const common = { url: data.url, serverName: data.serverName, ca: text(data.rootFile) };
  const credentials: BrokerAddress['credentials'] =
    data.tokenFile === undefined
      ? { kind: 'certificate', certificate: text(data.certificateFile), key: text(data.keyFile) }
      : { kind: 'token', token: text(data.tokenFile).trim() };
  return { file, rootFile: at(data.rootFile), address: { ...common, credentials } };
}

function parseContext(file: string, text: string): z.infer<typeof contextFile> {
  try {
    return contextFile.parse(parse(text));
  } catch (cause) {
    const issues =
      cause instanceof z.ZodError
        ? cause.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ')
        : 'no TOML';
    throw new AuditError('CONTEXT_INVALID', EXIT.usage, `${file}: ${issues}`, cause);
  }
}

function read(path: string, code: 'CONTEXT_MISSING' | 'FILE_UNREADABLE'): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new AuditError(code, code === 'CONTEXT_MISSING' ? EXIT.usage : EXIT.failed, `${path} cannot be read`, cause);
  }
}
