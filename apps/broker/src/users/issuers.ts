import type { Log } from '@carnet/runtime';
import { createRemoteJWKSet, customFetch, decodeJwt, errors, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { z } from 'zod';
import type { ServiceRefusal } from '../service/result.ts';
import type { Caller } from './caller.ts';
import { tokenEnding } from './credential.ts';
import { documentsVouchedBy, type FetchDocument } from './issuer-answers.ts';
import { CLOCK_TOLERANCE_SECONDS, ISSUER_REST_MS } from './limits.ts';

/** An OpenID Connect provider whose users may call (OpenID Connect Discovery 1.0, section 4). */
export const issuerConfig = z.strictObject({
  /** Exactly as in its tokens' `iss`. */
  issuer: z.url({ protocol: /^https$/ }),
  /** What its tokens for this broker name as `aud`: a token for somebody else's API is none for ours. */
  audience: z.string().min(1),
  /** PEM of the CA that signed the provider's own certificate. Absent: the public ones. */
  caFile: z.string().min(1).optional(),
});
export type IssuerConfig = z.infer<typeof issuerConfig>;

/** Public keys only: with a shared secret whoever verifies could also sign. */
const ALGORITHMS = ['EdDSA', 'Ed25519', 'ES256', 'ES384', 'PS256', 'RS256'];
/** A subject becomes part of a principal, which policies compare: nothing in it may look like a path. */
const SUBJECT = /^[A-Za-z0-9][A-Za-z0-9._|@-]{0,127}$/;
const discovery = z.object({ issuer: z.string(), jwks_uri: z.url({ protocol: /^https$/ }) });

export interface Issuers {
  readonly authenticate: (token: string) => Promise<Caller | ServiceRefusal>;
}

const refuse = (code: string, text: string): ServiceRefusal => ({ ok: false, code, text });

/** JSON Web Tokens (RFC 7519, RFC 9068) of the configured issuers. The principal is `<issuer>/<sub>`. */
export function openIssuers(configured: readonly IssuerConfig[], log: Log): Issuers {
  const known = new Map(configured.map((one) => [one.issuer, { ...one, keys: keysOf(one, log) }]));
  return {
    authenticate: async (token) => {
      const issuer = known.get(claimedIssuer(token) ?? '');
      if (issuer === undefined) return refuse('ISSUER_UNKNOWN', 'no configured issuer made this token');
      const keys = await issuer.keys();
      if (keys === undefined) return refuse('ISSUER_UNREACHABLE', `${issuer.issuer} does not answer; try again`);
      try {
        const { payload } = await jwtVerify(token, keys, {
          issuer: issuer.issuer,
          audience: issuer.audience,
          algorithms: ALGORITHMS,
          clockTolerance: CLOCK_TOLERANCE_SECONDS,
          requiredClaims: ['exp', 'sub'],
        });
        const subject = payload.sub ?? '';
        if (!SUBJECT.test(subject)) return refuse('TOKEN_REFUSED', 'the token names a subject that no principal can have');
        const credential = tokenEnding((payload.exp ?? 0) * 1_000);
        return {
          principal: `${issuer.issuer.replace(/\/$/, '')}/${subject}`,
          via: 'token',
          credential,
        };
      } catch (cause) {
        return refusalOf(cause, issuer.issuer);
      }
    },
  };
}

/** Not verified yet: says only whose keys to ask for. */
export function claimedIssuer(token: string): string | undefined {
  try {
    return decodeJwt(token).iss;
  } catch {
    return undefined; // no JWT at all: refused as one of an unknown issuer
  }
}

/** A key set that follows the provider's rotation; asked for at the first token, and after a failure not at once again. */
function keysOf({ issuer, caFile }: IssuerConfig, log: Log): () => Promise<JWTVerifyGetKey | undefined> {
  const fetchDocument = documentsVouchedBy(caFile);
  let found: Promise<JWTVerifyGetKey | undefined> | undefined;
  return () => {
    found ??= discover(issuer, fetchDocument).catch((cause: unknown) => {
      log.warn({ issuer, err: cause }, 'the identity provider cannot be asked');
      setTimeout(() => {
        found = undefined;
      }, ISSUER_REST_MS).unref();
      return undefined;
    });
    return found;
  };
}

async function discover(issuer: string, fetchDocument: FetchDocument): Promise<JWTVerifyGetKey> {
  const bytes = await fetchDocument(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`);
  const document = discovery.parse(JSON.parse(Buffer.from(bytes).toString('utf8')));
  // Section 4.3: else one provider could speak for another.
  if (document.issuer !== issuer) throw new Error(`${issuer}: its document is of issuer ${document.issuer}`);
  return createRemoteJWKSet(new URL(document.jwks_uri), {
    [customFetch]: async (url) => new Response(Buffer.from(await fetchDocument(url)), { status: 200 }),
  });
}

/** A token's own text never leaves: only what is wrong with it. */
function refusalOf(cause: unknown, issuer: string): ServiceRefusal {
  if (cause instanceof errors.JWTExpired) return refuse('TOKEN_EXPIRED', 'the token has expired');
  if (cause instanceof errors.JWTClaimValidationFailed)
    return cause.claim === 'aud'
      ? refuse('TOKEN_AUDIENCE', 'the token was made for another audience')
      : refuse('TOKEN_REFUSED', `the token's claim ${cause.claim} is not acceptable`);
  if (cause instanceof errors.JWSSignatureVerificationFailed || cause instanceof errors.JWKSNoMatchingKey)
    return refuse('TOKEN_REFUSED', "the token is not signed by its issuer's keys");
  if (cause instanceof errors.JOSEAlgNotAllowed || cause instanceof errors.JWSInvalid || cause instanceof errors.JWTInvalid)
    return refuse('TOKEN_REFUSED', 'the token is not signed as a token must be');
  return refuse('ISSUER_UNREACHABLE', `the keys of ${issuer} cannot be had; try again`);
}
