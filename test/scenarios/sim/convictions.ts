import { createHash } from 'node:crypto';
import { GENESIS } from '@carnet/events';
import { accept, judgeProof, refuse, type ValidateChain } from '@carnet/trust';
import { z } from 'zod';
import { payloadOf } from '../../../libs/journal/src/stored-event.ts';
import type { Csp } from './csp.ts';
import type { Liar } from './liar.ts';

const wordOf = (envelope: unknown, name: string): unknown => {
  const payload = envelope instanceof Uint8Array ? payloadOf(envelope) : undefined;
  return typeof payload === 'object' && payload !== null ? Reflect.get(payload, name) : undefined;
};

/** Whether each ledger that a CSP holds is one chain without holes, of the bytes that its digests name. */
export function unsoundLedger({ domain, database }: Csp): string | undefined {
  let before: { readonly ledger: string; readonly seq: number; readonly digest: unknown } = {
    ledger: '',
    seq: 0,
    digest: GENESIS,
  };
  for (const row of database.rows(
    'select publisher, audience, seq, digest, envelope from events order by publisher, audience, seq',
  )) {
    const ledger = `${row['publisher']} to ${row['audience']}`;
    if (ledger !== before.ledger) before = { ledger, seq: 0, digest: GENESIS };
    const { envelope, digest } = row;
    if (!(envelope instanceof Uint8Array) || createHash('sha256').update(envelope).digest('hex') !== digest)
      return `${domain}: ${ledger} ${row['seq']} is not what its digest says`;
    if (Number(row['seq']) !== before.seq + 1 || wordOf(envelope, 'prev') !== before.digest)
      return `${domain}: ${ledger} ${row['seq']} does not follow ${before.seq}`;
    before = { ledger, seq: Number(row['seq']), digest };
  }
  return undefined;
}

/**
 * Who was lied to, and has no proof such as a court would take: the liar's signature, over what contradicts what the liar signed before, or relies on
 * what its audience never said. One proof convicts: after it, a position that the liar itself made unreachable may hide another lie.
 */
export function unproven(liar: Liar, csps: readonly Csp[]): string | undefined {
  const by = csps.find(({ domain }) => domain === liar.domain);
  if (by === undefined) return `there is no ${liar.domain}`;
  for (const audience of csps) {
    const lies = liar.lies().filter((lie) => lie.audience === audience.domain);
    const proofs = audience.database.rows('select code, envelope from proofs where peer = ?', liar.domain);
    if (lies.length > 0 && proofs.length === 0)
      return `${audience.domain} has no proof of ${lies.map(({ what }) => what).join(', ')}`;
    for (const { code, envelope } of proofs)
      if (!isPortable(String(code), envelope, audience, by))
        return `${audience.domain}: what it holds as ${code} of ${liar.domain} proves nothing`;
  }
  return undefined;
}

/**
 * Who did not lie, and is convicted all the same. What a restored CSP noted of a peer that relied on an event which it had lost proves nothing once the
 * event is back.
 */
export function wronged(csps: readonly Csp[], liar: Liar | undefined): string | undefined {
  for (const holder of csps)
    for (const { peer, code, envelope } of holder.database.rows('select peer, code, envelope from proofs')) {
      const accused = csps.find(({ domain }) => domain === peer);
      if (accused === undefined || accused.domain === liar?.domain) continue;
      if (isPortable(String(code), envelope, holder, accused))
        return `${holder.domain} holds a proof of ${code} against ${accused.domain}`;
    }
  return undefined;
}

/** As a third party judges it that has both databases' ledgers before it, and the certificates of both. */
function isPortable(code: string, envelope: unknown, holder: Csp, accused: Csp): boolean {
  if (!(envelope instanceof Uint8Array)) return false;
  const proof = {
    accused: accused.domain,
    audience: holder.domain,
    code: z.enum(['LEDGER_FORK', 'CAUSE_UNKNOWN']).parse(code),
    statement: envelope,
    accusedEvents: ledgerAt(holder, accused.domain, holder.domain),
    audienceEvents: ledgerAt(holder, holder.domain, accused.domain),
  };
  return judgeProof(proof, { nowMs: Number.POSITIVE_INFINITY, validateChain: certified([holder, accused]) }, 'whole').ok;
}

const ledgerAt = ({ database }: Csp, publisher: string, audience: string): readonly Uint8Array[] =>
  database
    .rows('select envelope from events where publisher = ? and audience = ? order by seq', publisher, audience)
    .map((row) => z.instanceof(Uint8Array).parse(row['envelope']));

const certified =
  (csps: readonly Csp[]): ValidateChain =>
  (chain, expected) => {
    const { signing, command } = csps.find(({ domain }) => domain === expected)?.identity ?? {};
    return command !== undefined && chain[0] === signing?.introduction.chain[0]
      ? accept({ spkiVerifier: command.verifier })
      : refuse('DOMAIN_MISMATCH', `expected a chain of ${expected}`);
  };
