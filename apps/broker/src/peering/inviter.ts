import type { Digest, TrustDomain } from '@carnet/events';
import type { z } from 'zod';
import type { ServiceRefusal, ServiceResult } from '../service/result.ts';
import { fingerprintOf, judgeBroker, newerList, ownList } from './card.ts';
import { NONCE_BYTES, PROOFS_WRONG_MAX } from './limits.ts';
import { isStale, type PeeringPorts, refuse, takenFault } from './ports.ts';
import { answerOf, isProof, transcriptOf } from './proof.ts';
import type { Peering, PeeringTx, StoredInvitation } from './table.ts';
import type { finishAnswer, finishRequest, helloAnswer, helloRequest, newsAnswer, newsRequest } from './wire.ts';

type Asked<T extends z.ZodType> = z.output<T>;

/** The side that invited, as the other side's broker meets it. `leaf`: of the connection, base64 DER; OpenSSL found it under our root. */
export interface Inviter {
  readonly hello: (leaf: string, asked: Asked<typeof helloRequest>) => Promise<ServiceResult<Asked<typeof helloAnswer>>>;
  readonly finish: (leaf: string, asked: Asked<typeof finishRequest>) => Promise<ServiceResult<Asked<typeof finishAnswer>>>;
  readonly news: (leaf: string, asked: Asked<typeof newsRequest>) => Promise<ServiceResult<Asked<typeof newsAnswer>>>;
}

export function openInviter(ports: PeeringPorts): Inviter {
  const { rows, random, now, nowMs, ownCard } = ports;
  return {
    hello: async (leaf, { invitation: id, from, nonce, card }) => {
      const judged = judgeBroker(ports, leaf, { domain: from, ...card, role: 'clientAuth' });
      if (!judged.ok) return judged;
      const own = ownCard();
      if (card.bus !== own.bus) return refuse('PEERING_BUS_OTHER', `this broker speaks on the bus ${own.bus}`);
      return rows.alone(async (tx) => {
        const invitation = await tx.invitation(id);
        const fault = invitationFault(invitation, from, nowMs()) ?? (await takenFault(ports, tx, from));
        if (fault !== undefined || invitation === undefined) return fault ?? unknownInvitation();
        const inviterNonce = Buffer.from(random(NONCE_BYTES)).toString('hex');
        await tx.putInvitation({
          ...invitation,
          hello: { inviterNonce, joinerNonce: nonce, card: { ...card, crls: newerList(card.issuer, card.crls, []) } },
        });
        return { ok: true, value: { nonce: inviterNonce, card: own } };
      });
    },
    finish: (leaf, { invitation: id, from, proof }) =>
      rows.alone(async (tx) => {
        const invitation = await tx.invitation(id);
        const fault = invitationFault(invitation, from, nowMs()) ?? (await takenFault(ports, tx, from));
        if (fault !== undefined || invitation === undefined) return fault ?? unknownInvitation();
        const { hello } = invitation;
        if (hello === undefined) return refuse('PEERING_NOT_BEGUN', 'no exchange was begun with this invitation');
        const judged = judgeBroker(ports, leaf, { domain: from, ...hello.card, role: 'clientAuth' });
        if (!judged.ok) return judged;
        const transcript = transcriptHere(ports, invitation, hello, judged.value);
        if (!isProof(invitation.verifier, transcript, proof)) return countWrong(tx, invitation);
        const peering: Peering = {
          domain: from,
          transcript,
          card: hello.card,
          dataPaths: invitation.dataPaths,
          startedBy: invitation.createdBy,
          startedAt: now(),
        };
        if (!(await tx.addPeering(peering))) return refuse('PEER_EXISTS', `${from} is a peer, or about to be one`);
        await tx.putInvitation({ ...invitation, state: 'used' });
        return { ok: true, value: { proof: answerOf(invitation.verifier, transcript) } };
      }),
    news: async (leaf, { from, transcript, confirmed, crls }) => {
      const peering = await rows.peering(from);
      if (peering === undefined || peering.transcript !== transcript || peering.url !== undefined || isStale(peering, nowMs()))
        return refuse('PEERING_UNKNOWN', `${from} is not invited here, or was removed`);
      const { issuer } = peering.card;
      const lists = newerList(issuer, crls, peering.card.crls);
      const judged = judgeBroker(ports, leaf, { domain: from, issuer, crls: lists, role: 'clientAuth' });
      if (!judged.ok) return judged;
      await rows.keepLists(peering, lists);
      if (confirmed) await rows.confirm(peering, 'there', now());
      return { ok: true, value: { confirmed: peering.confirmedAt !== undefined, crls: ownList(ownCard().issuer, ports) } };
    },
  };
}

const unknownInvitation = (): ServiceRefusal => refuse('INVITATION_UNKNOWN', 'there is no such invitation');

/** Its certificate says who asks, so whoever is not meant learns nothing but that. */
function invitationFault(invitation: StoredInvitation | undefined, from: TrustDomain, nowMs: number): ServiceRefusal | undefined {
  if (invitation === undefined) return unknownInvitation();
  if (invitation.domain !== from) return refuse('INVITATION_OTHER_DOMAIN', `the invitation is not for ${from}`);
  switch (invitation.state) {
    case 'used':
      return refuse('INVITATION_USED', 'the invitation was used: an invitation is good once');
    case 'spent':
      return refuse('INVITATION_SPENT', 'too many wrong proofs came for this invitation');
    case 'revoked':
      return refuse('INVITATION_REVOKED', 'the invitation was withdrawn');
    case 'open':
      // Written so that a time that is no number is refused.
      return nowMs < Date.parse(invitation.expiresAt)
        ? undefined
        : refuse('INVITATION_EXPIRED', `the invitation ended at ${invitation.expiresAt}`);
  }
}

function transcriptHere(
  { self, root, ownCard }: PeeringPorts,
  { id, domain }: StoredInvitation,
  { inviterNonce, joinerNonce, card }: NonNullable<StoredInvitation['hello']>,
  issuer: Digest,
): Digest {
  const own = ownCard();
  return transcriptOf({
    invitation: id,
    root: root(),
    bus: own.bus,
    inviter: { domain: self, issuer: fingerprintOf(own.issuer), eventKey: own.eventKey, nonce: inviterNonce },
    joiner: { domain, issuer, eventKey: card.eventKey, nonce: joinerNonce },
  });
}

/** A wrong one takes the exchange with it: what was said before is no help to the next. */
async function countWrong(tx: PeeringTx, { hello: _hello, ...invitation }: StoredInvitation): Promise<ServiceRefusal> {
  const wrongProofs = invitation.wrongProofs + 1;
  await tx.putInvitation({ ...invitation, wrongProofs, state: wrongProofs < PROOFS_WRONG_MAX ? 'open' : 'spent' });
  return refuse(
    'INVITATION_SECRET_WRONG',
    'the proof does not fit: another secret, or something between us changed what was said',
  );
}
