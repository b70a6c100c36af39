import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { digest, spiffeId, timestamp, trustDomain } from '@carnet/events';
import { z } from 'zod';
import { REVOCATION_REASONS, type RevocationReason } from '../build-crl.ts';
import { appendDurably } from '../durable.ts';
import { PkiError } from '../error.ts';
import { REGISTER_LINES_MAX } from '../limits.ts';
import { LEAF_PROFILES, type LeafProfile } from '../profiles.ts';

const profile = z.enum(Object.keys(LEAF_PROFILES) as [LeafProfile, ...LeafProfile[]]);
const reason = z.enum(Object.keys(REVOCATION_REASONS) as [RevocationReason, ...RevocationReason[]]);
const serial = z.string().regex(/^[0-9a-f]{1,40}$/);

const issued = z.strictObject({
  kind: z.literal('issued'),
  serial,
  /** SHA-256 of its DER, and of its public key. */
  digest,
  key: digest,
  /** `issuer`: an intermediate for a domain; else a leaf of this profile. */
  what: z.discriminatedUnion('profile', [
    z.strictObject({ profile: z.literal('issuer'), domain: trustDomain }),
    z.strictObject({ profile, spiffeId, dnsNames: z.array(z.string()).readonly() }),
  ]),
  notBefore: timestamp,
  notAfter: timestamp,
  /** Milliseconds from issue to end: what a renewal gets again. */
  lifeMs: z.int().min(1),
  /** The leaf in whose place it was given, by its digest: revoking one of a line revokes the line. */
  renews: digest.optional(),
});
const revoked = z.strictObject({ kind: z.literal('revoked'), serial, at: timestamp, reason });
const listed = z.strictObject({ kind: z.literal('crl'), number: z.int().min(1), nextUpdate: timestamp });
const line = z.discriminatedUnion('kind', [issued, revoked, listed]);

export type IssuedLine = z.infer<typeof issued>;
export type RevokedLine = z.infer<typeof revoked>;
export type RegisterLine = z.infer<typeof line>;

/** What an authority ever did, oldest first. */
export type Register = {
  readonly issued: readonly IssuedLine[];
  readonly revoked: ReadonlyMap<string, RevokedLine>;
  /** Of the newest CRL; 0 before the first. */
  readonly crlNumber: number;
  readonly crlNextUpdate: string | undefined;
};

const fileIn = (dir: string): string => join(dir, 'register.ndjson');

/** @throws PkiError REGISTER_BROKEN: an authority that does not know what it issued must issue nothing more */
export function readRegister(dir: string): Register {
  const text = bytesOf(fileIn(dir)).toString();
  // A crash in the middle of a line: what it was about was never given out, since the line comes first.
  const whole = text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .slice(0, -1);
  if (whole.length > REGISTER_LINES_MAX) throw broken(dir, 'it is too long');
  const lines = whole.map((one, i) => {
    const parsed = line.safeParse(jsonOf(one));
    if (!parsed.success) throw broken(dir, `line ${i + 1}`);
    return parsed.data;
  });
  const lists = lines.filter((one) => one.kind === 'crl');
  return {
    issued: lines.filter((one) => one.kind === 'issued'),
    revoked: new Map(lines.flatMap((one) => (one.kind === 'revoked' ? [[one.serial, one] as const] : []))),
    crlNumber: lists.reduce((highest, { number }) => Math.max(highest, number), 0),
    crlNextUpdate: lists.at(-1)?.nextUpdate,
  };
}

/**
 * Durable when it returns. Called before what the lines tell is given out, and inside the lock. A last line that is not whole was
 * never acknowledged to anybody: it makes room.
 */
export function appendRegister(dir: string, said: readonly RegisterLine[]): void {
  const whole = bytesOf(fileIn(dir)).lastIndexOf('\n') + 1;
  appendDurably(fileIn(dir), whole, said.map((one) => `${JSON.stringify(line.parse(one))}\n`).join(''));
}

const broken = (dir: string, where: string): PkiError =>
  new PkiError('REGISTER_BROKEN', `${fileIn(dir)} does not say what was issued: ${where}`);

function bytesOf(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return Buffer.alloc(0);
    throw cause;
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
