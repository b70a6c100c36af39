import { type Timestamp, timestamp } from '@carnet/events';
import { type AnnouncedKey, decodeCheckpoint, openCheckpoint, openWitness, originOf, positionOf } from '@carnet/trust';
import type { Finding, LedgerName } from '../report.ts';
import type { Findings } from './findings.ts';
import type { LedgerReplay } from './replay.ts';

/** A C2SP note that somebody shows: in an export, or kept by the auditor since an earlier one. */
export type ShownNote = { readonly source: string; readonly note: Uint8Array };

/** What a note claims of which ledger, before anything of it is believed. */
export type ShownCheckpoint = ShownNote & { readonly origin: string; readonly size: number };

/** The claims of all notes; those that cannot be read are returned by their source. */
export function readNotes(shown: readonly ShownNote[]): {
  readonly checkpoints: readonly ShownCheckpoint[];
  readonly unreadable: readonly string[];
} {
  const read = shown.map((one) => ({ ...one, claim: claimOf(one.note) }));
  return {
    checkpoints: read.flatMap(({ claim, source, note }) => (claim === undefined ? [] : [{ source, note, ...claim }])),
    unreadable: read.flatMap(({ claim, source }) => (claim === undefined ? [source] : [])),
  };
}

function claimOf(note: Uint8Array): { readonly origin: string; readonly size: number } | undefined {
  const text = Buffer.from(note).toString('utf8');
  const decoded = decodeCheckpoint(text.slice(0, text.lastIndexOf('\n\n') + 1));
  return decoded.ok ? { origin: decoded.value.origin, size: decoded.value.size } : undefined;
}

/** Sizes at which the root of this ledger is wanted. */
export const marksOf = (ledger: LedgerName, shown: readonly ShownCheckpoint[]): ReadonlySet<number> =>
  new Set(shown.flatMap(({ origin, size }) => (origin === originOf(ledger) ? size : [])));

/** Of one ledger: the largest size up to which its audience cosigned what is shown, and when. */
export type Cosigned = { readonly size: number; readonly at: Timestamp };

/**
 * Compares each checkpoint of a replayed ledger with what was replayed. What both CSPs signed and is not here was cut off, or is
 * another past: neither can be told by envelopes alone, if both agree to show the same.
 */
export function judgeCheckpoints(
  replay: LedgerReplay,
  audience: LedgerReplay,
  shown: readonly ShownCheckpoint[],
  findings: Findings,
): Cosigned | undefined {
  const ledger: LedgerName = { publisher: replay.ledger.publisher, audience: replay.ledger.audience };
  const mine = shown.filter(({ origin }) => origin === originOf(ledger));
  const judged = mine.map((checkpoint) => judge({ replay, audience, ledger }, checkpoint, findings));
  return judged.reduce<Cosigned | undefined>(
    (best, one) => (one !== undefined && one.size > (best?.size ?? 0) ? one : best),
    undefined,
  );
}

type About = { readonly replay: LedgerReplay; readonly audience: LedgerReplay; readonly ledger: LedgerName };

function judge(
  { replay, audience, ledger }: About,
  { source, note, size }: ShownCheckpoint,
  findings: Findings,
): Cosigned | undefined {
  const finding = (code: string, text: string, more: Partial<Finding> = {}): Finding => ({
    code,
    text,
    ledger,
    seq: size,
    sources: [source],
    ...more,
  });
  const opened = openCheckpoint(note, ledger, keysAt(replay.state.keys, size));
  if (!opened.ok) {
    findings.notice(finding('CHECKPOINT_UNVERIFIED', `${opened.code}: no key of ${ledger.publisher} at that position signed it`));
    return undefined;
  }
  // Compared as far as it was read: a divergence says more than what follows from it.
  if (replay.divergence !== undefined && size > replay.placed) return undefined;
  const { keys } = audience.state;
  const at = cosignedAt(note, ledger, keys);
  if (size > replay.placed) return missing({ replay, finding, size, at }, findings);
  const root = replay.rootAt(size);
  const told = Buffer.from(opened.value.root).toString('hex');
  if (root !== told) {
    findings.violate(
      finding('CHECKPOINT_DIFFERS', 'what is shown is not what its publisher signed', { expected: told, got: root ?? '' }),
    );
    return undefined;
  }
  // Whoever holds a key that was taken back may say anything: that its owner holds these events is not believed on its word.
  const standing = cosignedAt(
    note,
    ledger,
    keys.filter(({ revoked }) => revoked === undefined),
  );
  return standing === undefined ? undefined : { size, at: standing };
}

function cosignedAt(note: Uint8Array, ledger: LedgerName, keys: readonly AnnouncedKey[]): Timestamp | undefined {
  const witness = openWitness(note, ledger, rawOf(keys));
  return witness.ok ? timeOf(witness.value.time) : undefined;
}

type Missing = {
  readonly replay: LedgerReplay;
  readonly finding: (code: string, text: string, more?: Partial<Finding>) => Finding;
  readonly size: number;
  readonly at: Timestamp | undefined;
};

/** Shorter than what was signed: cut off, unless the checkpoint is younger than every copy that is shown. */
function missing({ replay, finding, size, at }: Missing, findings: Findings): undefined {
  const compared = { expected: String(size), got: String(replay.placed) };
  const exported = replay.readers.map(({ copy }) => copy.exportedAt).toSorted();
  const newest = exported.at(-1);
  if (at !== undefined && newest !== undefined && at > newest)
    findings.notice(finding('CHECKPOINT_NEWER', `it was cosigned at ${at}, after the exports were made`, compared));
  else findings.violate(finding('CHECKPOINT_TRUNCATED', 'its publisher signed more events than are shown', compared));
  return undefined;
}

/** Raw keys that were good at a position: an ended one vouches for nothing after its end, a revoked one for nothing after `lastSeq`. */
const keysAt = (keys: readonly AnnouncedKey[], position: number): readonly Uint8Array[] =>
  rawOf(
    keys.filter(({ from, to, revoked }) => {
      const last = revoked?.lastSeq ?? to;
      return positionOf(from) <= position && (last === undefined || position <= positionOf(last));
    }),
  );

const rawOf = (keys: readonly AnnouncedKey[]): readonly Uint8Array[] =>
  keys.map(({ publicKey }) => Buffer.from(publicKey, 'base64'));

/** Last second that a date can say, ECMA-262. */
const SECONDS_MAX = 8_640_000_000_000;
const timeOf = (seconds: number): Timestamp | undefined =>
  seconds > SECONDS_MAX ? undefined : timestamp.safeParse(new Date(seconds * 1_000).toISOString()).data;
