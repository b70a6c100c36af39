import type { Tenant } from '@carnet/keys';
import type { Role } from '@carnet/policy';
import type { Credential } from './credential.ts';

/** Who is at the door, as authentication established it. */
export interface Caller {
  readonly principal: string;
  readonly via: 'mtls' | 'token';
  /** What it came with: what waits in its name waits no longer than that is good. */
  readonly credential: Credential;
  /** What this credential is good for, of the roles that the policy set grants to its principal; absent: all. */
  readonly onlyRoles?: readonly Role[];
  /** The one project whose keys this credential is for, and nothing else; absent: it is for the whole CSP. */
  readonly project?: Tenant;
}
