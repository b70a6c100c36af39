import { readFileSync } from 'node:fs';
import {
  type AccreditationRevocations,
  accreditationRevocations,
  accreditationStatement,
  type DsseEnvelope,
  dsseEnvelope,
  PAYLOAD_TYPES,
} from '@carnet/events';
import { policyCrypto } from '@carnet/publisher';
import { signEnvelope } from '@carnet/trust';
import type { z } from 'zod';
import { EXIT, VerbError } from '../exit.ts';
import { type KeyOptions, publicKeyIn, publicKeyOf, signerOf } from '../signing-key.ts';
import type { Streams } from '../world.ts';

export interface IssueOptions extends KeyOptions {
  readonly issuer: string;
  readonly subject: string;
  readonly claim: readonly string[];
  readonly level?: number;
  readonly serial: string;
  readonly notBefore?: string;
  readonly notAfter: string;
}
export interface RevokeOptions extends KeyOptions {
  readonly issuer: string;
  readonly after?: string;
  readonly serial?: readonly string[];
}
export interface ShowOptions {
  readonly accreditorKey: string;
}
type Out = Pick<Streams, 'out' | 'err' | 'nowMs'>;

const invalid = (text: string): VerbError => new VerbError(EXIT.usage, 'ARGUMENT_INVALID', text);
const sortedOnce = (items: readonly string[]): readonly string[] => [...new Set(items)].toSorted();

export function issue(options: IssueOptions, { nowMs, out }: Out): void {
  const { issuer, subject, claim, level, serial, notAfter, notBefore = new Date(nowMs()).toISOString() } = options;
  const statement = checked(accreditationStatement, {
    accredits: 'csp',
    issuer,
    subject,
    claims: sortedOnce(claim),
    ...(level === undefined ? {} : { level }),
    serial,
    notBefore,
    notAfter,
  });
  out(signed(PAYLOAD_TYPES.accreditation, statement, options));
}

/** A list only grows: who has the newest knows all that was ever revoked. */
export function revoke(options: RevokeOptions, { out, err }: Out): void {
  const { issuer, after, serial = [] } = options;
  const before = after === undefined ? undefined : listIn(after, options);
  if (before !== undefined && before.issuer !== issuer) throw invalid(`the list before is one of ${before.issuer}`);
  const list = checked(accreditationRevocations, {
    revokes: 'accreditations',
    issuer,
    number: (before?.number ?? 0) + 1,
    serials: sortedOnce([...(before?.serials ?? []), ...serial]),
  });
  err(`list ${list.number} of ${issuer}: ${list.serials.length} revoked\n`);
  out(signed(PAYLOAD_TYPES.accreditationRevocations, list, options));
}

/** An own list of before, which nobody shortened. */
function listIn(file: string, key: KeyOptions): AccreditationRevocations {
  const said = policyCrypto.signed(envelopeIn(file), PAYLOAD_TYPES.accreditationRevocations, publicKeyOf(key));
  const list = accreditationRevocations.safeParse(said).data;
  if (list === undefined) throw invalid(`${file}: no list of revocations signed with this key`);
  return list;
}

export function show(file: string, { accreditorKey }: ShowOptions, { out, err }: Out): void {
  const envelope = envelopeIn(file);
  const publicKey = publicKeyIn(accreditorKey);
  err(`publicKey ${publicKey}\n`);
  const types = [PAYLOAD_TYPES.accreditation, PAYLOAD_TYPES.accreditationRevocations];
  const statement = types.map((type) => policyCrypto.signed(envelope, type, publicKey)).find((one) => one !== undefined);
  if (statement === undefined)
    throw new VerbError(EXIT.verificationFailed, 'SIGNATURE_INVALID', `${file} is not signed with ${accreditorKey}`);
  out(`${JSON.stringify(statement, undefined, 1)}\n`);
}

function envelopeIn(file: string): DsseEnvelope {
  try {
    return dsseEnvelope.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    throw invalid(`${file}: expected what \`carnet accreditation\` prints`);
  }
}

function checked<S extends z.ZodType>(schema: S, statement: object): z.output<S> {
  const parsed = schema.safeParse(statement);
  if (parsed.success) return parsed.data;
  throw invalid(parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; '));
}

function signed(payloadType: string, statement: unknown, key: KeyOptions): string {
  const envelope = signEnvelope(payloadType, Buffer.from(JSON.stringify(statement)), signerOf(key));
  return `${Buffer.from(envelope).toString('utf8')}\n`;
}
