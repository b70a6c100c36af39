import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { BrokerAddress } from '@carnet/publisher';
import { parse } from 'smol-toml';
import { z } from 'zod';
import { contextFile } from './context-file.ts';
import { EXIT, VerbError } from './exit.ts';

/** One broker and who we are there. Paths are relative to the file. */
const context = z
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
  readonly address: BrokerAddress;
  readonly certificatePem?: string;
  readonly keyPem?: string;
}

export function loadContext(wanted: string | undefined, environment: NodeJS.ProcessEnv): Context {
  const file = contextFile(wanted, environment);
  if (!existsSync(file))
    throw new VerbError(
      EXIT.usage,
      'CONTEXT_MISSING',
      `no context at ${file}`,
      'Name one with --context or CARNET_CONTEXT; `carnet context --help` shows its form.',
    );
  const parsed = context.safeParse(toml(file));
  if (!parsed.success)
    throw new VerbError(
      EXIT.usage,
      'CONTEXT_INVALID',
      `${file}: ${parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ')}`,
      '`carnet context --help` shows its form.',
    );
  return read(file, parsed.data);
}

function toml(file: string): unknown {
  try {
    return parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new VerbError(
      EXIT.usage,
      'CONTEXT_INVALID',
      `${file}: ${cause instanceof Error ? cause.message.split('\n')[0] : String(cause)}`,
    );
  }
}

/** A file that a context names; its own text is never part of a message, since it may be a key. */
function fileOf(file: string, path: string): string {
  try {
    return readFileSync(resolve(dirname(file), path), 'utf8');
  } catch (cause) {
    throw new VerbError(
      EXIT.usage,
      'CONTEXT_INVALID',
      `${file} names ${path}: ${cause instanceof Error ? cause.message : String(cause)}`,
    );
  }
}

function read(file: string, data: z.infer<typeof context>): Context {
  const pem = (path: string): string => fileOf(file, path);
  const common = { url: data.url, serverName: data.serverName, ca: pem(data.rootFile) };
  if (data.certificateFile !== undefined && data.keyFile !== undefined) {
    const certificate = pem(data.certificateFile);
    const key = pem(data.keyFile);
    return {
      file,
      certificatePem: certificate,
      keyPem: key,
      address: { ...common, credentials: { kind: 'certificate', certificate, key } },
    };
  }
  return { file, address: { ...common, credentials: { kind: 'token', token: pem(data.tokenFile ?? '').trim() } } };
}
