import { approverFault, type Timestamp, type TrustDomain, timestamp, trustDomain } from '@carnet/events';
import { z } from 'zod';
import type { ServiceRefusal, ServiceResult } from '../service/result.ts';
import { fingerprintOf } from './card.ts';
import { writeInvitation } from './invitation.ts';
import { join } from './joiner.ts';
import {
  INVITATION_CHARS_MAX,
  INVITATION_HOURS,
  INVITATION_HOURS_MAX,
  INVITATION_ID_BYTES,
  INVITATIONS_KEPT_MS,
  INVITATIONS_LISTED_MAX,
  INVITATIONS_OPEN_MAX,
  PEERS_MAX,
  SECRET_BYTES,
} from './limits.ts';
import { isStale, type PeeringPorts, refuse, takenFault } from './ports.ts';
import { codeOf, isCode, verifierOf } from './proof.ts';
import { networks, type Peering, type StoredInvitation } from './table.ts';

const HOUR_MS = 3_600_000;

export const inviteRequest = z.strictObject({
  domain: trustDomain,
  /** Networks (CIDR) in which the peer's agents may serve images. None: any public address. */
  dataPaths: networks.default([]),
  hours: z.int().min(1).max(INVITATION_HOURS_MAX).default(INVITATION_HOURS),
});
export const joinRequest = z.strictObject({
  invitation: z.string().max(INVITATION_CHARS_MAX),
  dataPaths: networks.default([]),
});
/** As the other side's people say it: digits, in groups or not. */
export const confirmRequest = z.strictObject({ code: z.string().max(80) });

export interface InvitationRow {
  readonly id: string;
  readonly domain: string;
  readonly state: 'open' | 'used' | 'spent' | 'revoked' | 'expired';
  readonly createdBy: string;
  readonly createdAt: string;
  readonly expiresAt: string;
  readonly dataPaths: readonly string[];
}
/** Said once: the broker keeps only what verifies it. */
export type NewInvitation = InvitationRow & { readonly invitation: string };

/** A peer by invitation. `code`: the same at both sides if nobody stood between them. */
export interface PeeringRow {
  readonly domain: string;
  readonly state: 'unconfirmed' | 'confirmed-here' | 'confirmed-there' | 'trusted' | 'expired';
  readonly code: string;
  /** SHA-256 of both issuing authorities, and of the event key that the peer introduces itself with. */
  readonly issuer: string;
  readonly ownIssuer: string;
  readonly eventKey: string;
  readonly side: 'invited' | 'joined';
  readonly dataPaths: readonly string[];
  readonly startedBy: string;
  readonly startedAt: string;
  readonly confirmedBy?: string;
  readonly confirmedAt?: string;
  readonly confirmedThereAt?: string;
}

export interface PeeringServicePorts extends PeeringPorts {
  /** Where this broker answers peers; absent: it can join, and not invite. */
  readonly url: string | undefined;
  /** Whether who invited or joined may confirm too. */
  readonly confirmedBy: 'anyone' | 'another';
  /** Of which this CSP, or the peer that gave the VM, still has something to do. */
  readonly openMigrationsWith: (domain: TrustDomain) => Promise<number>;
  /** Events of our ledger to it that it has not acknowledged by a signed head. `unknown`: in quarantine, until it has said what it holds. */
  readonly unheardBy: (domain: TrustDomain) => Promise<number | 'unknown'>;
  readonly changed: () => void;
}

export interface PeeringService {
  readonly invite: (request: z.output<typeof inviteRequest>, principal: string) => Promise<ServiceResult<NewInvitation>>;
  readonly invitations: () => Promise<readonly InvitationRow[]>;
  readonly revoke: (id: string) => Promise<ServiceResult<InvitationRow>>;
  readonly join: (request: z.output<typeof joinRequest>, principal: string) => Promise<ServiceResult<PeeringRow>>;
  readonly peerings: () => Promise<readonly PeeringRow[]>;
  readonly confirm: (domain: TrustDomain, code: string, principal: string) => Promise<ServiceResult<PeeringRow>>;
  /** `unheard`: although it has not acknowledged all that was said to it, and never will. A quarantine waits for it no more. */
  readonly remove: (domain: TrustDomain, unheard?: boolean) => Promise<ServiceResult<{ readonly domain: TrustDomain }>>;
}

/** What administrators do about peers. Nothing here trusts anybody: that follows from the rows, once both sides confirmed. */
export function createPeeringService(ports: PeeringServicePorts): PeeringService {
  const { rows, random, nowMs, now, changed } = ports;
  const rowOf = (peering: Peering): PeeringRow => peeringRow(ports, peering);
  return {
    invite: async ({ domain, dataPaths, hours }, principal) => {
      const fault = await inviteFault(ports, domain);
      if (fault !== undefined || ports.url === undefined) return fault ?? noDoor();
      await rows.forgetInvitations(new Date(nowMs() - INVITATIONS_KEPT_MS).toISOString());
      const secret = random(SECRET_BYTES);
      const stored: StoredInvitation = {
        id: Buffer.from(random(INVITATION_ID_BYTES)).toString('hex'),
        domain,
        verifier: verifierOf(secret),
        dataPaths,
        createdBy: principal,
        createdAt: now(),
        expiresAt: timestamp.parse(new Date(nowMs() + hours * HOUR_MS).toISOString()),
        state: 'open',
        wrongProofs: 0,
      };
      await rows.putInvitation(stored);
      const { id, expiresAt: until } = stored;
      const issuer = fingerprintOf(ports.ownCard().issuer);
      const invitation = writeInvitation({
        id,
        from: ports.self,
        to: domain,
        url: ports.url,
        root: ports.root(),
        issuer,
        until,
        secret,
      });
      secret.fill(0);
      return { ok: true, value: { ...invitationRow(stored, nowMs()), invitation } };
    },
    invitations: async () =>
      (await rows.invitations()).slice(0, INVITATIONS_LISTED_MAX).map((stored) => invitationRow(stored, nowMs())),
    revoke: (id) =>
      rows.alone(async (tx) => {
        const stored = await tx.invitation(id);
        if (stored === undefined) return refuse('INVITATION_UNKNOWN', `no invitation ${id} here`);
        const { hello: _hello, ...rest } = stored;
        const revoked: StoredInvitation = stored.state === 'open' ? { ...rest, state: 'revoked' } : stored;
        await tx.putInvitation(revoked);
        return { ok: true, value: invitationRow(revoked, nowMs()) };
      }),
    join: async ({ invitation, dataPaths }, principal) => {
      const full = await roomFault(ports);
      if (full !== undefined) return full;
      const joined = await join(ports, { text: invitation, dataPaths, principal });
      changed();
      return joined.ok ? { ok: true, value: rowOf(joined.value) } : joined;
    },
    peerings: async () => (await rows.peerings()).map(rowOf),
    confirm: async (domain, code, principal) => {
      const peering = await rows.peering(domain);
      const fault = peering === undefined ? unknown(domain) : confirmFault(ports, peering, code, principal);
      if (fault !== undefined || peering === undefined) return fault ?? unknown(domain);
      await rows.confirm(peering, 'here', now(), principal);
      changed();
      const confirmed = await rows.peering(domain);
      return confirmed === undefined ? unknown(domain) : { ok: true, value: rowOf(confirmed) };
    },
    remove: async (domain, unheard) => {
      if (ports.configured.includes(domain))
        return refuse('PEER_CONFIGURED', `${domain} is a peer by this broker's configuration: it is removed there`);
      const peering = await rows.peering(domain);
      if (peering === undefined) return unknown(domain);
      const fault = await removalFault(ports, domain, unheard === true);
      if (fault !== undefined) return fault;
      await rows.removePeering(peering);
      changed();
      return { ok: true, value: { domain } };
    },
  };
}

async function removalFault(
  ports: PeeringServicePorts,
  domain: TrustDomain,
  unheard: boolean,
): Promise<ServiceRefusal | undefined> {
  const count = await ports.unheardBy(domain);
  if (count === 'unknown')
    // Nothing is decided with anybody before it has answered, not even how its migrations end: if it never will, there is no other way on.
    return unheard
      ? undefined
      : refuse('PEER_UNHEARD', `our ledgers are in quarantine, and ${domain} has not said yet what it holds of us`);
  const open = await ports.openMigrationsWith(domain);
  if (open > 0) return refuse('PEER_BUSY', `${open} migrations with ${domain} have not ended`);
  // Threat: our last word is that the VM has arrived, or that our copy is gone; whoever never hears it takes the VM back, or keeps it for ever.
  return count > 0 && !unheard
    ? refuse('PEER_UNHEARD', `${domain} has not acknowledged the last ${count} events that were said to it`)
    : undefined;
}

const unknown = (domain: TrustDomain): ServiceRefusal => refuse('PEER_UNKNOWN', `${domain} is no peer by invitation`);
const noDoor = (): ServiceRefusal =>
  refuse('PEERING_NO_DOOR', 'this broker has no [peering.door] at which others could answer an invitation');

async function inviteFault(ports: PeeringServicePorts, domain: TrustDomain): Promise<ServiceRefusal | undefined> {
  if (ports.url === undefined) return noDoor();
  const open = (await ports.rows.invitations()).filter((one) => invitationRow(one, ports.nowMs()).state === 'open');
  if (open.length >= INVITATIONS_OPEN_MAX) return refuse('INVITATIONS_TOO_MANY', `${open.length} invitations are open`);
  return (await takenFault(ports, ports.rows, domain)) ?? (await roomFault(ports));
}

async function roomFault({ rows, configured }: PeeringServicePorts): Promise<ServiceRefusal | undefined> {
  const count = configured.length + (await rows.peerings()).length;
  return count < PEERS_MAX ? undefined : refuse('PEERS_TOO_MANY', `a broker has at most ${PEERS_MAX} peers`);
}

function confirmFault(
  { confirmedBy, nowMs }: PeeringServicePorts,
  peering: Peering,
  code: string,
  principal: string,
): ServiceRefusal | undefined {
  const { transcript, startedBy, domain } = peering;
  if (isStale(peering, nowMs()))
    return refuse('PEERING_EXPIRED', `nobody confirmed ${domain} in time: remove it, and invite it again`);
  if (!isCode(transcript, code))
    return refuse('PEERING_CODE_WRONG', `the code is not the one that this broker and ${domain} share`);
  return confirmedBy === 'another' && approverFault(principal, startedBy) !== undefined
    ? refuse('PEERING_SAME_PERSON', `${startedBy} began this: another person confirms it, whatever names that one has`)
    : undefined;
}

const hasEnded = (until: Timestamp, nowMs: number): boolean => !(nowMs < Date.parse(until));

const invitationRow = (of: StoredInvitation, nowMs: number): InvitationRow => ({
  id: of.id,
  domain: of.domain,
  state: of.state === 'open' && hasEnded(of.expiresAt, nowMs) ? 'expired' : of.state,
  createdBy: of.createdBy,
  createdAt: of.createdAt,
  expiresAt: of.expiresAt,
  dataPaths: of.dataPaths,
});

function peeringRow({ ownCard, nowMs }: PeeringPorts, of: Peering): PeeringRow {
  const { domain, card, transcript, dataPaths, startedBy, startedAt, confirmedBy, confirmedAt, confirmedThereAt } = of;
  return {
    domain,
    state: isStale(of, nowMs()) ? 'expired' : stateOf(of),
    code: codeOf(transcript),
    issuer: fingerprintOf(card.issuer),
    ownIssuer: fingerprintOf(ownCard().issuer),
    eventKey: card.eventKey,
    side: of.url === undefined ? 'invited' : 'joined',
    dataPaths,
    startedBy,
    startedAt,
    ...(confirmedBy === undefined ? {} : { confirmedBy }),
    ...(confirmedAt === undefined ? {} : { confirmedAt }),
    ...(confirmedThereAt === undefined ? {} : { confirmedThereAt }),
  };
}

function stateOf({ confirmedAt, confirmedThereAt }: Peering): PeeringRow['state'] {
  if (confirmedAt === undefined) return confirmedThereAt === undefined ? 'unconfirmed' : 'confirmed-there';
  return confirmedThereAt === undefined ? 'confirmed-here' : 'trusted';
}
