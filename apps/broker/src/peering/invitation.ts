import { type Digest, digest, type Timestamp, type TrustDomain, timestamp, trustDomain } from '@carnet/events';
import { parseStrictJson, sha256Hex } from '@carnet/trust';
import { z } from 'zod';
import type { ServiceResult } from '../service/result.ts';
import { INVITATION_CHARS_MAX, INVITATION_ID_BYTES, SECRET_BYTES, URL_CHARS_MAX } from './limits.ts';

/** What one CSP gives another to introduce itself: where it answers, by what it is known, and a secret for one use. */
export interface Invitation {
  readonly id: string;
  readonly from: TrustDomain;
  readonly to: TrustDomain;
  /** Where `from` answers. */
  readonly url: string;
  /** SHA-256 of the federation's root and of the authority that issues for `from`. */
  readonly root: Digest;
  readonly issuer: Digest;
  readonly until: Timestamp;
  readonly secret: Uint8Array;
}

const PREFIX = 'carnet-invite-1';
/** Hexadecimal digits of the check: a slip of the pen is noticed, a forger is not meant. */
const CHECK_CHARS = 8;

export const invitationId = z.string().regex(new RegExp(`^[0-9a-f]{${INVITATION_ID_BYTES * 2}}$`));
/** https, a host, perhaps a port: nothing that could lead a request elsewhere. */
export const doorUrl = z
  .string()
  .max(URL_CHARS_MAX)
  .regex(/^https:\/\/[A-Za-z0-9.-]+(:\d{1,5})?$|^https:\/\/\[[0-9a-f:.]+\](:\d{1,5})?$/);

const content = z.strictObject({
  id: invitationId,
  from: trustDomain,
  to: trustDomain,
  url: doorUrl,
  root: digest,
  issuer: digest,
  until: timestamp,
  secret: z.string().regex(new RegExp(`^[0-9a-f]{${SECRET_BYTES * 2}}$`)),
});

const checkOf = (body: string): string => sha256Hex(Buffer.from(`${PREFIX}.${body}`)).slice(0, CHECK_CHARS);

/** One line of letters, digits, dots and dashes: `carnet-invite-1.<content>.<check>`. It holds the secret. */
export function writeInvitation({ id, from, to, url, root, issuer, until, secret }: Invitation): string {
  const said = { id, from, to, url, root, issuer, until, secret: Buffer.from(secret).toString('hex') };
  const body = Buffer.from(JSON.stringify(said)).toString('base64url');
  return `${PREFIX}.${body}.${checkOf(body)}`;
}

/** Exactly what `writeInvitation` writes, one spelling each; blanks and line ends around and within, as mail makes them, are left out. */
export function readInvitation(text: string): ServiceResult<Invitation> {
  if (text.length > INVITATION_CHARS_MAX) return malformed('it is too long');
  const [prefix, body = '', check, ...more] = text.replaceAll(/\s+/g, '').split('.');
  if (prefix !== PREFIX || check === undefined || more.length > 0) return malformed(`it does not begin with ${PREFIX}`);
  if (checkOf(body) !== check) return malformed('its check digits do not fit: it was not copied whole');
  const json = parseStrictJson(Buffer.from(body, 'base64url'));
  const said = json.ok ? content.safeParse(json.value).data : undefined;
  if (said === undefined) return malformed('its content is none that this version knows');
  const invitation = { ...said, secret: Uint8Array.from(Buffer.from(said.secret, 'hex')) };
  return writeInvitation(invitation) === `${prefix}.${body}.${check}`
    ? { ok: true, value: invitation }
    : malformed('it is spelt in another way than invitations are');
}

/** Never what it holds: that may be the secret. */
const malformed = (why: string): ServiceResult<never> => ({
  ok: false,
  code: 'INVITATION_MALFORMED',
  text: `this is no invitation: ${why}`,
});
