import type { IncomingHttpHeaders } from 'node:http';
import type { ServiceRefusal } from '../service/result.ts';
import { type ApiKeys, isApiKey } from './api-keys.ts';
import type { Caller } from './caller.ts';
import { claimedIssuer, type Issuers } from './issuers.ts';
import type { KeystoneUsers } from './keystone.ts';

/** Who calls with the token in these headers, from that address. */
export type ByToken = (headers: IncomingHttpHeaders, from: string) => Promise<Caller | ServiceRefusal>;

/** RFC 6750, section 2.1. API keys are short; JSON Web Tokens run to a few thousand characters. */
const BEARER = /^Bearer ([A-Za-z0-9._~+/=-]{16,8192})$/i;
/** The same token where OpenStack's clients put theirs. */
const X_AUTH_TOKEN = /^([A-Za-z0-9._~+/=-]{16,8192})$/;

/** API keys of this CSP, tokens of its identity providers and of its Keystone, told apart by their form. */
export const byToken =
  (apiKeys: ApiKeys, issuers: Issuers, keystone?: KeystoneUsers): ByToken =>
  async ({ authorization, 'x-auth-token': openstack }, from) => {
    // Two credentials may be of two people: whose request it is must not depend on which is read first.
    if (authorization !== undefined && openstack !== undefined)
      return { ok: false, code: 'TOKEN_REFUSED', text: 'either Authorization or X-Auth-Token, not both' };
    const token = BEARER.exec(authorization ?? '')?.[1] ?? X_AUTH_TOKEN.exec(String(openstack ?? ''))?.[1];
    if (token === undefined) return { ok: false, code: 'CALLER_UNKNOWN', text: 'a token is needed at this door' };
    if (isApiKey(token)) return apiKeys.authenticate(token);
    // Keystone's own tokens name no issuer, neither Fernet's nor those that are JSON Web Signatures.
    return keystone === undefined || claimedIssuer(token) !== undefined
      ? issuers.authenticate(token)
      : keystone.authenticate(token, from);
  };
