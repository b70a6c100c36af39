import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TrustDomain } from '@carnet/events';
import type { Journal } from '@carnet/journal';
import { type Crl, readCertificate, readCrl, writeDurably } from '@carnet/pki';
import type { Log } from '@carnet/runtime';
import { fingerprintOf } from './card.ts';
import type { Invited } from './invited.ts';
import { askNews } from './joiner.ts';
import { EXCHANGE_MS, LOOK_MS } from './limits.ts';
import { isStale, type PeeringPorts } from './ports.ts';
import { isTrusted, type Peering } from './table.ts';

export interface TendPorts {
  readonly peering: PeeringPorts;
  readonly journal: Pick<Journal, 'attach' | 'detach' | 'append'>;
  readonly invited: Invited;
  readonly crlDirectory: string;
  /** Hosts hear at once what lies there. Threat: a move begins before they know the new peer's list, and its agents are refused. */
  readonly tellHosts: () => void;
  readonly log: Log;
}
export interface PeeringTending {
  /** Makes of the rows what they say: who is trusted is attached, who is not any more is detached. Asks nobody. */
  readonly settle: () => Promise<void>;
  /** Looks soon: something was confirmed, joined or removed. */
  readonly nudge: () => void;
  readonly stop: () => Promise<void>;
}

/**
 * Keeps this replica's peers as the table has them, whichever replica or side changed it, and brings what the other side says. An
 * authority is pinned and its revocation list lies here before its ledger is opened; other peers notice nothing.
 */
export function tendPeerings(ports: TendPorts): PeeringTending {
  const { peering, log } = ports;
  const attached = new Set<TrustDomain>();
  const askedAt = new Map<TrustDomain, number>();
  const said = new Map<TrustDomain, string>();
  /** Exchanges of which the other side has heard our word, as far as this process knows. */
  const told = new Set<Peering['transcript']>();

  const askOne = async (one: Peering): Promise<void> => {
    const nowMs = peering.nowMs();
    if (one.url === undefined || isStale(one, nowMs)) return;
    if (isTrusted(one) && told.has(one.transcript) && nowMs - (askedAt.get(one.domain) ?? 0) < EXCHANGE_MS) return;
    askedAt.set(one.domain, nowMs);
    const news = await askNews(peering, one);
    if (news.ok && one.confirmedAt !== undefined) told.add(one.transcript);
    const code = news.ok ? '' : news.code;
    if (!news.ok && code !== said.get(one.domain))
      log.warn({ peer: one.domain, code, text: news.text }, 'the peer is not heard at its door');
    said.set(one.domain, code);
  };
  const look = async (): Promise<void> => {
    // One that does not answer keeps nobody waiting.
    await Promise.all((await peering.rows.peerings()).map(askOne));
    await settleRows(ports, attached);
  };
  // One at a time: two at once would open a ledger twice.
  let work: Promise<void> = Promise.resolve();
  let [isAsked, isStopped] = [false, false];
  const nudge = (): void => {
    // Threat: doors that take a connection and stay silent. One look waits, and sees whatever is new by then; more would pile up.
    if (isAsked || isStopped) return;
    isAsked = true;
    work = work
      .then(() => {
        isAsked = false;
        return isStopped ? undefined : look();
      })
      .catch((cause: unknown) => log.warn({ err: cause }, 'could not look after invited peers'));
  };
  const timer = setInterval(nudge, LOOK_MS);
  timer.unref();
  return {
    settle: () => {
      const mine = work.then(() => settleRows(ports, attached));
      work = mine.catch(() => undefined);
      return mine;
    },
    nudge,
    stop: async () => {
      isStopped = true;
      clearInterval(timer);
      await work;
    },
  };
}

async function settleRows(
  { peering, journal, invited, crlDirectory, tellHosts, log }: TendPorts,
  attached: Set<TrustDomain>,
): Promise<void> {
  const rows = await peering.rows.peerings();
  // The configuration's word about a peer stands, whatever was exchanged.
  const trusted = rows.filter((one) => isTrusted(one) && !peering.configured.includes(one.domain));
  invited.set(trusted.map(({ domain, card, dataPaths }) => ({ domain, issuer: fingerprintOf(card.issuer), dataPaths })));
  const open = async (one: Peering): Promise<void> => {
    keepLists(one, crlDirectory);
    if (attached.has(one.domain) || !hasList(peering, one)) return;
    tellHosts();
    await journal.attach(one.domain);
    attached.add(one.domain);
    // Both introduce their event keys now: else each would stay silent until it has something to say. A repeat says nothing.
    const begun = await journal.append(one.domain, async () => ({ drafts: [], announce: true, value: null }));
    if (!begun.ok) log.warn({ peer: one.domain, code: begun.code }, 'our ledger to an invited peer does not begin yet');
    log.info({ peer: one.domain, issuer: fingerprintOf(one.card.issuer) }, 'an invited peer is trusted: its ledgers are open');
  };
  // What is wrong with one (a damaged head file) keeps no other from coming or going.
  const failures: unknown[] = [];
  for (const one of trusted) await open(one).catch((cause: unknown) => failures.push(cause));
  for (const domain of [...attached].filter((one) => !trusted.some((row) => row.domain === one))) {
    journal.detach(domain);
    attached.delete(domain);
    log.warn({ peer: domain }, 'an invited peer was removed');
  }
  if (failures.length > 0) throw failures[0];
}

const authorityOf = ({ card }: Peering) => readCertificate(Uint8Array.from(Buffer.from(card.issuer, 'base64')));

/**
 * Where trust files are read from, and hosts are told from. What came was judged by its signature before it came to stand in the row; an
 * older number takes nothing's place. Unlike our own authority a peer's may take ended certificates out of its list (RFC 5280, section 3.3).
 */
function keepLists({ domain, card }: Peering, directory: string): void {
  const file = join(directory, `${domain}.der`);
  for (const text of card.crls) {
    const der = Uint8Array.from(Buffer.from(text, 'base64'));
    const crl = readCrl(der);
    if (crl.ok && isNewer(crl.value, file)) writeDurably(file, der, { mode: 0o644 });
  }
}

/** The list of an authority that the peer had before counts for nothing: it is not the one that was confirmed. */
function isNewer({ issuer, number }: Crl, file: string): boolean {
  if (!existsSync(file)) return true;
  const held = readCrl(Uint8Array.from(readFileSync(file)));
  return !held.ok || held.value.issuer !== issuer || held.value.number < number;
}

/** Without its list everything of the peer would be refused, its first event too: the next look comes in two seconds. What was put there just now counts. */
function hasList({ trust }: PeeringPorts, one: Peering): boolean {
  const authority = authorityOf(one);
  return (
    authority.ok &&
    trust(true).crls.some((der) => {
      const crl = readCrl(der);
      return crl.ok && crl.value.issuer === authority.value.subject;
    })
  );
}
