import { brokerId, clientTlsOptions, introducingTlsOptions } from '@carnet/pki';
import type { ServiceRefusal, ServiceResult } from '../service/result.ts';
import { ask } from './ask.ts';
import { fingerprintOf, judgeBroker, newerList, ownList } from './card.ts';
import { type Invitation, readInvitation } from './invitation.ts';
import { NONCE_BYTES } from './limits.ts';
import { type PeeringPorts, refuse, takenFault } from './ports.ts';
import { isAnswer, proofOf, transcriptOf } from './proof.ts';
import type { Peering } from './table.ts';
import { FINISH_PATH, finishAnswer, HELLO_PATH, helloAnswer, NEWS_PATH, newsAnswer } from './wire.ts';

export interface Joining {
  readonly text: string;
  readonly dataPaths: readonly string[];
  readonly principal: string;
}

/**
 * Takes an invitation up: meets the CSP that it names under the authority that it names, judges its revocation lists, and proves to know the
 * secret as it does. Nothing is kept unless all of it was so; what is kept is nobody's to use before people at both sides confirmed.
 */
export async function join(ports: PeeringPorts, { text, dataPaths, principal }: Joining): Promise<ServiceResult<Peering>> {
  const read = readInvitation(text);
  if (!read.ok) return read;
  const invitation = read.value;
  const fault = unfit(ports, invitation) ?? (await takenFault(ports, ports.rows, invitation.from));
  if (fault !== undefined) return fault;
  const met = await introduce(ports, invitation);
  if (!met.ok) return met;
  const { id, from, url, secret } = invitation;
  const { transcript, card } = met.value;
  const finished = await ask(
    introducingTlsOptions(ports.tls, { domain: from, issuer: invitation.issuer }),
    `${url}${FINISH_PATH}`,
    { invitation: id, from: ports.self, proof: proofOf(secret, transcript) },
    finishAnswer,
  );
  if (!finished.ok) return finished;
  if (!isAnswer(secret, transcript, finished.value.said.proof))
    return refuse('INVITATION_SECRET_WRONG', `${from} does not prove to know the secret of the invitation`);
  const peering: Peering = { domain: from, transcript, card, url, dataPaths, startedBy: principal, startedAt: ports.now() };
  return (await ports.rows.addPeering(peering))
    ? { ok: true, value: peering }
    : refuse('PEER_EXISTS', `${from} is a peer, or about to be one`);
}

/** What can be said of it without asking anybody. */
function unfit({ self, roots, nowMs }: PeeringPorts, invitation: Invitation): ServiceRefusal | undefined {
  if (invitation.to !== self) return refuse('INVITATION_OTHER_DOMAIN', `the invitation is for ${invitation.to}`);
  if (!roots().includes(invitation.root))
    return refuse('PEERING_ROOT_OTHER', `${invitation.from} is of another federation: its root is not trusted here`);
  return nowMs() < Date.parse(invitation.until)
    ? undefined
    : refuse('INVITATION_EXPIRED', `the invitation ended at ${invitation.until}`);
}

async function introduce(ports: PeeringPorts, { id, from, url, root, issuer }: Invitation) {
  const own = ports.ownCard();
  const nonce = Buffer.from(ports.random(NONCE_BYTES)).toString('hex');
  const hello = await ask(
    introducingTlsOptions(ports.tls, { domain: from, issuer }),
    `${url}${HELLO_PATH}`,
    { invitation: id, from: ports.self, nonce, card: own },
    helloAnswer,
  );
  if (!hello.ok) return hello;
  const { said, leaf } = hello.value;
  const judged = judgeBroker(ports, leaf, { domain: from, ...said.card, role: 'serverAuth' });
  if (!judged.ok) return judged;
  if (judged.value !== issuer) return refuse('ISSUER_NOT_PINNED', `${from} names another authority than its invitation does`);
  if (said.card.bus !== own.bus) return refuse('PEERING_BUS_OTHER', `${from} speaks on the bus ${said.card.bus}`);
  const transcript = transcriptOf({
    invitation: id,
    root,
    bus: own.bus,
    inviter: { domain: from, issuer, eventKey: said.card.eventKey, nonce: said.nonce },
    joiner: { domain: ports.self, issuer: fingerprintOf(own.issuer), eventKey: own.eventKey, nonce },
  });
  return { ok: true, value: { transcript, card: said.card } } as const;
}

/** Tells the side that invited what was confirmed here, and learns the same of it; both bring their newest revocation lists. */
export async function askNews(ports: PeeringPorts, peering: Peering): Promise<ServiceResult<null>> {
  const { domain, transcript, card, url = '', confirmedAt } = peering;
  const store = ports.trust();
  const lists = card.crls.map((text) => Uint8Array.from(Buffer.from(text, 'base64')));
  const known = {
    ...ports.tls,
    store: () => ({ ...store, crls: [...store.crls, ...lists], issuers: new Map([[domain, fingerprintOf(card.issuer)]]) }),
  };
  const news = await ask(
    clientTlsOptions(known, { trustDomain: domain, spiffeId: brokerId(domain) }),
    `${url}${NEWS_PATH}`,
    { from: ports.self, transcript, confirmed: confirmedAt !== undefined, crls: ownList(ports.ownCard().issuer, ports) },
    newsAnswer,
  );
  if (!news.ok) return news;
  const { said, leaf } = news.value;
  const crls = newerList(card.issuer, said.crls, card.crls);
  const judged = judgeBroker(ports, leaf, { domain, issuer: card.issuer, crls, role: 'serverAuth' });
  if (!judged.ok) return judged;
  await ports.rows.keepLists(peering, crls);
  if (said.confirmed) await ports.rows.confirm(peering, 'there', ports.now());
  return { ok: true, value: null };
}
