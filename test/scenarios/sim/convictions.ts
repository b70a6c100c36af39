import { createHash } from 'node:crypto';
import { GENESIS, PAYLOAD_TYPES } from '@carnet/events';
import { openEnvelope, readEd25519Key } from '@carnet/trust';
import { payloadOf } from '../../../libs/journal/src/stored-event.ts';
import type { Csp } from './csp.ts';
import type { Liar, Lie } from './liar.ts';

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

/** A lie that its audience has no proof of, such as a court would take: signed by the liar, and against what the liar signed before. */
export function unproven(liar: Liar, csps: readonly Csp[]): string | undefined {
  const by = csps.find(({ domain }) => domain === liar.domain)?.identity.signing.signer;
  const verifier = by === undefined ? undefined : readEd25519Key(by.publicKey);
  for (const lie of liar.lies()) {
    const audience = csps.find(({ domain }) => domain === lie.audience);
    const proofs = audience?.database.rows('select code, envelope from proofs where peer = ?', liar.domain) ?? [];
    const proof = proofs.find(({ code }) => code === lie.code);
    if (audience === undefined || proof === undefined) return `${lie.audience} has no proof of ${lie.what}`;
    const { envelope } = proof;
    const type = lie.by === 'stream' ? PAYLOAD_TYPES.event : PAYLOAD_TYPES.peerMessage;
    if (!proofs.some((one) => isSigned(one['envelope'], type, verifier)) && !isSigned(envelope, PAYLOAD_TYPES.event, verifier))
      return `${lie.audience}: the proof of ${lie.what} is not signed by ${liar.domain}`;
  }
  return undefined;
}

function isSigned(envelope: unknown, type: string, verifier: ReturnType<typeof readEd25519Key>): boolean {
  return envelope instanceof Uint8Array && openEnvelope(envelope, type, () => verifier).ok;
}

export type { Lie };
