import type { Caller } from '../http/route.ts';
import type { ServiceRefusal } from '../service/service.ts';
import { type ApiKeys, isApiKey } from './api-keys.ts';
import type { Issuers } from './issuers.ts';

/** Who calls with this `Authorization` header. */
export type ByBearer = (authorization: string | undefined) => Promise<Caller | ServiceRefusal>;

/** RFC 6750, section 2.1. API keys are short; JSON Web Tokens run to a few thousand characters. */
const BEARER = /^Bearer ([A-Za-z0-9._~+/=-]{16,8192})$/i;

/** API keys of this CSP and tokens of its identity providers, told apart by their form. */
export const byBearer =
  (apiKeys: ApiKeys, issuers: Issuers): ByBearer =>
  async (authorization) => {
    const token = BEARER.exec(authorization ?? '')?.[1];
    if (token === undefined) return { ok: false, code: 'CALLER_UNKNOWN', text: 'a bearer token is needed at this door' };
    return isApiKey(token) ? apiKeys.authenticate(token) : issuers.authenticate(token);
  };
