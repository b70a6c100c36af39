import { type Digest, type EventData, type EventOf, GENESIS, PAYLOAD_TYPES, type TrustDomain } from '@carnet/events';
import { type ExportedLine, isLegal, lineDigest } from '@carnet/keys';
import { accept, type Checked, openEnvelope, parseStrictJson, readEd25519Key, refuse } from '@carnet/trust';
import type { AuditedKeyHistory } from '../report.ts';
import type { Findings } from './findings.ts';

/** What one CSP shows of its own keys. No peer has a copy: what holds it are its own signatures, its chain, and what it told peers. */
export type HistoryCopy = {
  readonly source: string;
  readonly holder: TrustDomain;
  readonly lines: () => AsyncIterable<ExportedLine>;
};

type Code = 'KEY_HISTORY_DIFFERS' | 'KEY_HISTORY_BROKEN' | 'KEY_HISTORY_SIGNATURE' | 'KEY_HISTORY_UNSIGNED';
type Change = Pick<EventData<'KeyStateChanged'>, 'key' | 'version' | 'from' | 'to' | 'at'>;
const changeText = ({ key, version, from, to, at }: Change): string => `${key} version ${version} from ${from} to ${to} at ${at}`;

/** Collects, while ledgers are replayed, what binds their publishers' own histories. */
export type Witnessed = {
  /** The line that another copy showed at this place, or the same. */
  readonly firstShown: (csp: TrustDomain, line: ExportedLine) => Digest;
  readonly note: (
    event: EventOf<'KeyAnnounced' | 'KeyStateChanged'>,
    at: { readonly seq: number; readonly digest: Digest },
  ) => void;
  readonly keysOf: (csp: TrustDomain) => ReadonlyMap<string, string>;
  readonly toldBy: (csp: TrustDomain) => readonly Told[];
};
type Told = { readonly event: EventOf<'KeyStateChanged'>; readonly seq: number; readonly digest: Digest };

export function openWitnessed(): Witnessed {
  const keys = new Map<TrustDomain, Map<string, string>>();
  const told: Told[] = [];
  const shown = new Map<string, Digest>();
  return {
    firstShown: (csp, { key, version, arrival, position, digest }) => {
      const place = [csp, key, version, arrival, position].join(' ');
      const first = shown.get(place) ?? digest;
      shown.set(place, first);
      return first;
    },
    note: (event, at) => {
      if (event.type === 'KeyStateChanged') told.push({ event, ...at });
      else {
        const known = keys.get(event.publisher) ?? new Map<string, string>();
        keys.set(event.publisher, known.set(event.data.keyid, event.data.publicKey));
      }
    },
    keysOf: (csp) => keys.get(csp) ?? new Map(),
    toldBy: (csp) => told.filter(({ event }) => event.publisher === csp),
  };
}

/** One CSP's history: each line stands on the one before it, operators' lines are signed, and what peers were told is in it. */
export async function auditKeyHistory(
  { source, holder, lines }: HistoryCopy,
  witnessed: Witnessed,
  findings: Findings,
): Promise<AuditedKeyHistory> {
  const own = { publisher: holder, audience: holder };
  const keys = new Set<string>();
  const missing = new Map(witnessed.toldBy(holder).map((told) => [changeText(told.event.data), told]));
  let last: ExportedLine | undefined;
  let [seq, signed] = [0, 0];
  for await (const line of lines()) {
    seq++;
    const before = last?.key === line.key && last.version === line.version ? last : undefined;
    last = line;
    // A key whose lines come in two pieces begins anew in the second, where its chain does not.
    keys.add(`${line.key} ${line.version}`);
    const { from_state: from, to_state: to, signature } = line;
    for (const checked of [
      checkChain(line, before),
      checkSignature(line, witnessed.keysOf(holder)),
      checkCopies(line, witnessed.firstShown(holder, line)),
    ])
      if (!checked.ok) {
        const { code, text, expected, got } = checked;
        const compared = { ...(expected === undefined ? {} : { expected }), ...(got === undefined ? {} : { got }) };
        findings.violate({
          ledger: own,
          seq,
          digest: line.digest,
          code,
          text: `key ${line.key}: ${text}`,
          ...compared,
          sources: [source],
        });
      }
    if (signature === null || from === null) continue;
    signed++;
    missing.delete(changeText({ key: line.key, version: line.version, from, to, at: line.at }));
  }
  for (const [said, { event, ...at }] of missing)
    findings.violate({
      ...at,
      ledger: { publisher: event.publisher, audience: event.audience },
      code: 'KEY_HISTORY_DIFFERS',
      text: 'its own history does not hold what it told a peer of a key',
      expected: said,
      sources: [source],
    });
  return { csp: holder, source, keys: keys.size, lines: seq, signed };
}

const checkCopies = ({ digest }: ExportedLine, first: Digest): Checked<null, Code> =>
  digest === first
    ? accept(null)
    : refuse('KEY_HISTORY_DIFFERS', 'two exports show different lines at one place', { expected: first, got: digest });

function checkChain(line: ExportedLine, before: ExportedLine | undefined): Checked<null, Code> {
  const prev: string = before?.digest ?? GENESIS;
  if (line.prev !== prev)
    return refuse('KEY_HISTORY_BROKEN', 'a line does not stand on the one before it', { expected: prev, got: line.prev });
  const digest = lineDigest(line);
  if (line.digest !== digest) return refuse('KEY_HISTORY_BROKEN', 'a line was changed', { expected: digest, got: line.digest });
  const { from_state: from, to_state: to } = line;
  const state = before?.arrival === line.arrival ? before.to_state : null;
  if (from !== state || (from !== null && !isLegal(from, to)))
    return refuse('KEY_HISTORY_BROKEN', 'an impossible change of state', {
      expected: `from ${state}`,
      got: `from ${from} to ${to}`,
    });
  return accept(null);
}

/** Only an operator's word ends a key as compromised. Threat: a CSP that lays the blame on nobody, or on whom it likes. */
function checkSignature(line: ExportedLine, keys: ReadonlyMap<string, string>): Checked<null, Code> {
  const { signature, digest: _, ...said } = line;
  if (signature === null)
    return line.to_state === 'compromised' ? refuse('KEY_HISTORY_UNSIGNED', 'a compromise that nobody signed') : accept(null);
  const opened = openEnvelope(Buffer.from(JSON.stringify(signature)), PAYLOAD_TYPES.keyChange, (keyid) => {
    const key = keys.get(keyid);
    return key === undefined ? undefined : readEd25519Key(Buffer.from(key, 'base64'));
  });
  if (!opened.ok) return refuse('KEY_HISTORY_SIGNATURE', `the signature of ${line.actor}'s change: ${opened.code}`);
  const json = parseStrictJson(opened.value.payload);
  return json.ok && isSame(json.value, said)
    ? accept(null)
    : refuse('KEY_HISTORY_SIGNATURE', 'what was signed is another change');
}

/** Flat objects, in whatever order of their members. */
const isSame = (one: unknown, other: object): boolean => typeof one === 'object' && one !== null && sorted(one) === sorted(other);
const sorted = (of: object): string => JSON.stringify(Object.entries(of).toSorted(([a], [b]) => (a < b ? -1 : 1)));
