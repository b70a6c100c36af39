import {
  type Digest,
  type EventOf,
  event,
  GENESIS,
  PAYLOAD_TYPES,
  type PayloadType,
  type Placement,
  placement,
  type Timestamp,
} from '@carnet/events';
import { fromBase64 } from '#primitives';
import { type AdmissionContext, initialLedger } from './admission.ts';
import { openIntroduction } from './admit.ts';
import { positionOf } from './bytes.ts';
import { openEnvelope, readEnvelope } from './envelope.ts';
import type { LedgerNames } from './ledger-checkpoint.ts';
import type { ProofCode } from './proof-codes.ts';
import { accept, type Checked, refuse } from './refusal.ts';
import { readEd25519Key } from './signature.ts';
import { type JsonValue, parseStrictJson } from './strict-json.ts';

/** The clock and the certificate check of whoever judges. */
export type ProofRules = Pick<AdmissionContext, 'nowMs' | 'validateChain'>;

/** An event key, and when which event introduced it: its certificate is judged as of then. */
export type VouchedKey = { readonly keyid: Digest; readonly publicKey: Uint8Array; readonly introducedAt: Timestamp };
export type SignedEvent = { readonly placement: Placement; readonly digest: Digest; readonly key: VouchedKey };
export type Opened = { readonly json: JsonValue; readonly digest: Digest; readonly key: VouchedKey };

/** Events of one ledger as somebody shows them, of which nothing is believed that its publisher did not sign. */
export type ShownLedger = {
  /** Whatever its publisher signed, of this kind. */
  readonly open: (bytes: Uint8Array, type: PayloadType) => Checked<Opened, ProofCode>;
  /** An event of this ledger. */
  readonly event: (bytes: Uint8Array) => Checked<SignedEvent, ProofCode>;
  /** What is shown at a position; not judged yet. */
  readonly at: (position: number) => Uint8Array | undefined;
  /** The first events, without holes: the last one is signed, and the chain vouches for those before. */
  readonly upTo: (size: number) => Checked<readonly Link[], ProofCode>;
  /** All keys that are vouched for. */
  readonly keys: () => readonly VouchedKey[];
};
export type Link = { readonly bytes: Uint8Array; readonly digest: Digest };

/** An envelope taken apart; nothing of it was verified. */
type Shown = {
  readonly bytes: Uint8Array;
  readonly digest: Digest;
  readonly placement: Placement;
  readonly introduces: string | undefined;
};

/** @param introducing where else events may stand that introduce keys */
export function openShownLedger(
  ledger: LedgerNames,
  shown: readonly Uint8Array[],
  rules: ProofRules,
  introducing: readonly Uint8Array[] = [],
): ShownLedger {
  const events = shown.flatMap((bytes) => takenApart(bytes) ?? []);
  const bySeq = new Map(events.map((one) => [positionOf(one.placement.seq), one]));
  const candidates = [...events, ...introducing.flatMap((bytes) => takenApart(bytes) ?? [])].filter(
    ({ introduces }) => introduces !== undefined,
  );
  // Asked for by key: whoever shows a thousand introductions makes nobody check a thousand chains.
  const keyOf = (keyid: string): Checked<VouchedKey, ProofCode> => {
    let refused: Checked<VouchedKey, ProofCode> | undefined;
    for (const { bytes, introduces } of candidates) {
      if (introduces !== keyid) continue;
      const vouched = vouchedKey(ledger, bytes, rules);
      if (vouched.ok) return vouched;
      refused ??= vouched;
    }
    return refused ?? refuse('PROOF_KEY_UNVOUCHED', `expected what introduced a key of ${ledger.publisher}`, { got: keyid });
  };

  const open: ShownLedger['open'] = (bytes, type) => {
    const read = readEnvelope(bytes);
    if (!read.ok) return refuse('PROOF_NOT_SIGNED', `${read.code}: ${read.text}`);
    const key = keyOf(read.value.keyid);
    if (!key.ok) return key;
    const opened = openEnvelope(bytes, type, () => readEd25519Key(key.value.publicKey));
    if (!opened.ok) return refuse('PROOF_NOT_SIGNED', `${opened.code}: ${opened.text}`, opened);
    const json = parseStrictJson(opened.value.payload);
    if (!json.ok) return refuse('PROOF_NOT_SIGNED', `${json.code}: ${json.text}`);
    return accept({ json: json.value, digest: opened.value.digest, key: key.value });
  };
  const eventOf: ShownLedger['event'] = (bytes) => {
    const opened = open(bytes, PAYLOAD_TYPES.event);
    if (!opened.ok) return opened;
    const placed = placement.safeParse(opened.value.json).data;
    if (placed === undefined) return refuse('PROOF_NOT_SIGNED', 'expected an event that has a place in a ledger');
    const routed = checkRoute(ledger, placed);
    return routed.ok ? accept({ placement: placed, digest: opened.value.digest, key: opened.value.key }) : routed;
  };

  return {
    open,
    event: eventOf,
    at: (position) => bySeq.get(position)?.bytes,
    upTo: (size) => {
      const links = chained(bySeq, size);
      const last = links.ok ? links.value.at(-1) : undefined;
      if (last === undefined) return links;
      const signed = eventOf(last.bytes);
      return signed.ok ? links : signed;
    },
    keys: () => [...new Set(candidates.flatMap(({ introduces }) => introduces ?? []))].flatMap((keyid) => keptKey(keyOf(keyid))),
  };
}

const keptKey = (key: Checked<VouchedKey, ProofCode>): readonly VouchedKey[] => (key.ok ? [key.value] : []);

function takenApart(bytes: Uint8Array): Shown | undefined {
  const read = readEnvelope(bytes);
  const json = read.ok ? parseStrictJson(read.value.payload) : read;
  const placed = json.ok ? placement.safeParse(json.value).data : undefined;
  if (!read.ok || !json.ok || placed === undefined) return undefined;
  const said = placed.type === 'KeyAnnounced' ? event.safeParse(json.value).data : undefined;
  return {
    bytes,
    digest: read.value.digest,
    placement: placed,
    introduces: said?.type === 'KeyAnnounced' ? said.data.keyid : undefined,
  };
}

/** By itself, wherever it stands: signed by the key, its statement by the publisher's X.509 identity as of then. */
function vouchedKey(ledger: LedgerNames, bytes: Uint8Array, rules: ProofRules): Checked<VouchedKey, ProofCode> {
  const introduced = openIntroduction(initialLedger(ledger.publisher, ledger.audience), bytes, rules);
  if (!introduced.ok) return refuse('PROOF_KEY_UNVOUCHED', `${introduced.code}: ${introduced.text}`, introduced);
  const { time, data }: EventOf<'KeyAnnounced'> = introduced.value;
  return accept({ keyid: data.keyid, publicKey: fromBase64(data.publicKey), introducedAt: time });
}

/** Two ledgers have each their own position 1: what was said to another contradicts nothing. */
function checkRoute({ publisher, audience }: LedgerNames, placed: Placement): Checked<null, 'PROOF_MISPLACED'> {
  if (placed.publisher === publisher && placed.audience === audience) return accept(null);
  return refuse('PROOF_MISPLACED', 'expected an event of another ledger', {
    expected: `${publisher} to ${audience}`,
    got: `${placed.publisher} to ${placed.audience}`,
  });
}

function chained(bySeq: ReadonlyMap<number, Shown>, size: number): Checked<readonly Link[], 'PROOF_INCOMPLETE'> {
  const links: Link[] = [];
  for (let seq = 1; seq <= size; seq++) {
    const next = bySeq.get(seq);
    const before = links.at(-1)?.digest ?? GENESIS;
    if (next === undefined || next.placement.prev !== before)
      return refuse('PROOF_INCOMPLETE', `expected event ${seq} of the ledger, following ${seq - 1}`);
    links.push({ bytes: next.bytes, digest: next.digest });
  }
  return accept(links);
}
