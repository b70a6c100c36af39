import { createHash } from 'node:crypto';
import { GENESIS, PAYLOAD_TYPES, trustDomain } from '@carnet/events';
import { eventLeaf, merkleRoot, openCheckpoint, openEnvelope, readEd25519Key } from '@carnet/trust';
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
  const by = csps.find(({ domain }) => domain === liar.domain)?.identity.signing.signer;
  if (by === undefined) return `there is no ${liar.domain}`;
  for (const audience of csps) {
    const lies = liar.lies().filter((lie) => lie.audience === audience.domain);
    const proofs = audience.database.rows('select code, envelope from proofs where peer = ?', liar.domain);
    if (lies.length > 0 && proofs.length === 0)
      return `${audience.domain} has no proof of ${lies.map(({ what }) => what).join(', ')}`;
    for (const { code, envelope } of proofs)
      if (!isPortable(String(code), envelope, audience, liar.domain, by.publicKey))
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
      if (isPortable(String(code), envelope, holder, accused.domain, accused.identity.signing.signer.publicKey))
        return `${holder.domain} holds a proof of ${code} against ${accused.domain}`;
    }
  return undefined;
}

function isPortable(code: string, envelope: unknown, { domain, database }: Csp, liar: string, publicKey: Uint8Array): boolean {
  const verifier = readEd25519Key(publicKey);
  if (!(envelope instanceof Uint8Array)) return false;
  const isSigned = (bytes: unknown, type: string): boolean =>
    bytes instanceof Uint8Array && openEnvelope(bytes, type, () => verifier).ok;
  const told = database.rows(
    'select seq, digest, envelope from events where publisher = ? and audience = ? order by seq',
    liar,
    domain,
  );
  const heldAt = (seq: unknown) => told.find((row) => String(row['seq']) === seq);
  /** A signed root of as many events as were told, over other ones. */
  const isAnotherPast = (note: string): boolean => {
    const names = { publisher: trustDomain.parse(liar), audience: domain };
    const opened = openCheckpoint(Buffer.from(note), names, [publicKey]);
    const leaves = told.map((row) => eventLeaf(z.instanceof(Uint8Array).parse(row['envelope'])));
    return (
      opened.ok &&
      opened.value.size <= leaves.length &&
      Buffer.compare(merkleRoot(leaves.slice(0, opened.value.size)), opened.value.root) !== 0
    );
  };
  if (isSigned(envelope, PAYLOAD_TYPES.peerMessage)) {
    const note = wordOf(envelope, 'note');
    if (typeof note === 'string') return isAnotherPast(note);
    const said = headOf.safeParse(wordOf(envelope, 'own')).data;
    const held = heldAt(said?.seq);
    return held !== undefined && held['digest'] !== said?.digest && isSigned(held['envelope'], PAYLOAD_TYPES.event);
  }
  if (!isSigned(envelope, PAYLOAD_TYPES.event)) return false;
  if (code === 'CAUSE_UNKNOWN') {
    const mine = new Set(
      database.rows('select digest from events where publisher = ? and audience = ?', domain, liar).map((row) => row['digest']),
    );
    return z
      .array(z.string())
      .parse(wordOf(envelope, 'causes'))
      .some((cause) => !mine.has(cause));
  }
  const seq = Number(wordOf(envelope, 'seq'));
  const [held, before] = [heldAt(String(seq)), heldAt(String(seq - 1))];
  if (held !== undefined) return isSigned(held['envelope'], PAYLOAD_TYPES.event) && held['digest'] !== digestOf(envelope);
  // It names another event as the one before it than the liar signed there.
  return isSigned(before?.['envelope'], PAYLOAD_TYPES.event) && wordOf(envelope, 'prev') !== before?.['digest'];
}

const digestOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

const headOf = z.object({ seq: z.string(), digest: z.string() });
