import { TRUST_CODES } from '@carnet/trust';

/** HTTP status of a refusal's code. What is not listed was refused by rule: 409. */
const STATUS: Readonly<Record<string, number>> = {
  // One trap of JSON, one code: each is a malformed request.
  ...Object.fromEntries(
    Object.keys(TRUST_CODES)
      .filter((code) => code.startsWith('JSON_'))
      .map((code) => [code, 400]),
  ),
  REQUEST_MALFORMED: 400,
  PARAMETER_INVALID: 400,
  CALLER_UNKNOWN: 401,
  TOKEN_REFUSED: 401,
  TOKEN_EXPIRED: 401,
  TOKEN_AUDIENCE: 401,
  ISSUER_UNKNOWN: 401,
  SIGNATURE_REFUSED: 403,
  ROLE_MISSING: 403,
  KEY_USE_UNGRANTED: 403,
  PROJECT_LIMITED: 403,
  PROJECT_UNMAPPED: 403,
  PAYLOAD_WITHHELD: 403,
  POLICY_DENIES: 403,
  APPROVAL_NEEDED: 403,
  APPROVAL_REFUSED: 403,
  RESTRICTIONS_LOOSENED: 403,
  ROUTE_UNKNOWN: 404,
  VM_UNKNOWN: 404,
  MIGRATION_UNKNOWN: 404,
  EVENT_UNKNOWN: 404,
  KEY_UNKNOWN: 404,
  PROJECT_UNKNOWN: 404,
  ROTATION_UNKNOWN: 404,
  IMAGE_UNKNOWN: 404,
  PEER_UNKNOWN: 404,
  API_KEY_UNKNOWN: 404,
  APPROVAL_UNKNOWN: 404,
  READ_ONLY: 405,
  ACCEPT_UNSUPPORTED: 406,
  MICROVERSION_UNKNOWN: 406,
  REQUEST_TOO_LARGE: 413,
  MEDIA_TYPE_UNSUPPORTED: 415,
  INTERNAL: 500,
  DATABASE_UNAVAILABLE: 503,
  HOSTS_NOT_HEARD_YET: 503,
  HOST_UNAVAILABLE: 503,
  ISSUER_UNREACHABLE: 503,
  KEYSTONE_UNAVAILABLE: 503,
  KEYSTONE_REFUSED: 503,
  KEYSTONE_ANSWER_INVALID: 503,
  BROKER_DRAINING: 503,
  LEDGER_QUARANTINED: 503,
};

/** Seconds after which asking again may succeed, for refusals that pass by themselves: a program may repeat what is safe to repeat. */
const RETRY_AFTER_SECONDS: Readonly<Record<string, number>> = {
  DATABASE_UNAVAILABLE: 2,
  HOSTS_NOT_HEARD_YET: 1,
  BROKER_DRAINING: 2,
  KEYSTONE_UNAVAILABLE: 5,
};
export const retryAfterOf = (code: string): number | undefined => RETRY_AFTER_SECONDS[code];

export const statusOf = (code: string): number => STATUS[code] ?? 409;
