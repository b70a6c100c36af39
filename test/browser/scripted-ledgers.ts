import { createHash, createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Digest,
  digest,
  event,
  GENESIS,
  isMigrationEvent,
  PAYLOAD_TYPES,
  type TrustDomain,
  trustDomain,
  uuidv7,
  vmId,
} from '@carnet/events';
import { evolve, initialJourney, type Journey, type Placed } from '@carnet/saga';
import { ed25519Signer, sha256Hex, signEnvelope } from '@carnet/trust';
import { readHistory } from '../histories/history.ts';

export const CSP_A = trustDomain.parse('csp-a.example');
export const CSP_B = trustDomain.parse('csp-b.example');

/** One entry in the form of the broker's API. */
export interface Entry {
  readonly cursor: string;
  readonly digest: string;
  readonly publisher: string;
  readonly audience: string;
  readonly seq: string;
  readonly type: string;
  readonly time: string;
  readonly migration?: string;
  readonly epoch?: number;
  readonly state: 'acknowledged' | 'received';
  readonly envelope: string;
}

/** A recorded history (`test/histories`) told again about another VM, at another time. */
export interface Telling {
  readonly history: string;
  /** Of two hexadecimal digits: tells VMs and migrations apart. */
  readonly label: string;
  readonly startMs: number;
  /** Only so many of its events have happened yet. */
  readonly upTo?: number;
  /** What this time is said otherwise than it was recorded: the data of an event that has the digests of this telling. */
  readonly retold?: (said: Said, at: string) => object;
}

/** An event before it has its place. */
export interface Said {
  readonly type: string;
  readonly migration: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface ScriptedLedgers {
  readonly entries: readonly Entry[];
  readonly journeys: readonly Journey[];
}

/** Milliseconds after the event before: most follow at once, a copy and a window take their time. */
const TAKES: Readonly<Record<string, number>> = {
  TargetReady: 900,
  SourceQuiesced: 3_200,
  ImageSealed: 4_100,
  ImageVerified: 9_500,
  VmStarted: 1_900,
  VmHealthy: 6_800,
  MigrationFinalized: 12_000,
  // After the recorded deadline.
  BreakGlassResumed: 7_200_000,
  SourceResumed: 21_000,
  CopyFenced: 960_000,
  CopyDiscarded: 5_400_000,
};
const TAKES_ELSE = 140;

/** Tells histories as two CSPs would have signed them, each in its own ledger, as CSP A's broker would list them. */
export function tellLedgers(tellings: readonly Telling[]): ScriptedLedgers {
  const writers = new Map([ledgerOf(CSP_A, CSP_B), ledgerOf(CSP_B, CSP_A)].map((writer) => [writer.publisher, writer]));
  const entries = [...writers.values()].map((writer) => writer.announce(tellings[0]?.startMs ?? 0));
  const journeys = tellings.map((telling) => {
    const { told, journey } = tell(telling, writers);
    entries.push(...told);
    return journey;
  });
  return { entries: entries.map((entry, i) => ({ ...entry, cursor: String(i + 1) })), journeys };
}

function tell(
  { history, label, startMs, upTo, retold = ({ data }) => data }: Telling,
  writers: ReadonlyMap<string, Writer>,
): { readonly told: readonly Entry[]; readonly journey: Journey } {
  const { events } = readHistory(readFileSync(join(import.meta.dirname, `../histories/${history}.golden.json`), 'utf8'));
  const intent = events[0]?.event;
  if (intent?.type !== 'MigrationIntended') throw new Error(`${history} does not begin with an intent`);
  const vm = vmId.parse(intent.data.vm.replace(/^(.*\/)../, `$1${label}`));
  // Recorded digests stand for places; here they are digests of envelopes, so what cites them is told anew.
  const renamed = new Map<string, string>([
    [intent.data.vm, vm],
    [intent.migration, intent.migration.replace(/^........-..../, `019320${label}-00${label}`)],
  ]);
  const told: Entry[] = [];
  let journey = initialJourney(vm);
  let at = startMs;
  for (const placed of events.slice(0, upTo)) {
    at += TAKES[placed.event.type] ?? TAKES_ELSE;
    const writer = writers.get(placed.event.publisher);
    if (writer === undefined) throw new Error(`no ledger of ${placed.event.publisher}`);
    const said = rename(placed.event, renamed);
    const data = retold(said, new Date(at).toISOString());
    const written = writer.write({ ...said, data }, at);
    renamed.set(placed.digest, written.entry.digest);
    told.push(written.entry);
    const evolved = evolve(journey, written.placed);
    if (evolved.voidCode !== undefined) throw new Error(`${placed.event.type} would be void: ${evolved.voidCode}`);
    journey = evolved.journey;
  }
  return { told, journey };
}

const rename = (value: object, renamed: ReadonlyMap<string, string>): Said & Record<string, unknown> =>
  JSON.parse([...renamed].reduce((text, [from, to]) => text.replaceAll(from, to), JSON.stringify(value)));

/** PKCS #8 of an Ed25519 seed (RFC 8410, section 7): this prefix and 32 bytes. */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

interface Writer {
  readonly publisher: TrustDomain;
  readonly announce: (at: number) => Entry;
  readonly write: (said: Record<string, unknown>, at: number) => { readonly entry: Entry; readonly placed: Placed };
}

/** One CSP's ledger with an event key of its own. Its certificate is a stand-in: browsers judge none. */
function ledgerOf(publisher: TrustDomain, audience: TrustDomain): Writer {
  // From its name: told again, the same histories are the same bytes.
  const seed = createHash('sha256').update(publisher).digest();
  const signer = ed25519Signer(createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' }));
  let head: Digest = GENESIS;
  let position = 0;
  const append = (said: Record<string, unknown>, at: number): { readonly entry: Entry; readonly payload: unknown } => {
    position += 1;
    const seq = String(position);
    const time = new Date(at).toISOString();
    const payload = {
      ...said,
      publisher,
      audience,
      v: 1,
      seq,
      prev: head,
      time,
      id: uuidv7(at, new Uint8Array(10).fill(position)),
    };
    const bytes = signEnvelope(PAYLOAD_TYPES.event, new TextEncoder().encode(JSON.stringify(payload)), signer);
    head = sha256Hex(bytes);
    const of = typeof said['migration'] === 'string' ? { migration: said['migration'], epoch: Number(said['epoch']) } : {};
    const state = publisher === CSP_A ? 'acknowledged' : 'received';
    return {
      entry: {
        cursor: '',
        digest: head,
        publisher,
        audience,
        seq,
        type: String(said['type']),
        time,
        ...of,
        state,
        envelope: base64(bytes),
      },
      payload,
    };
  };
  return {
    publisher,
    announce: (at) => {
      const data = {
        keyid: signer.keyid,
        algorithm: 'Ed25519',
        publicKey: base64(signer.publicKey),
        notBefore: new Date(at).toISOString(),
        chain: ['AA=='],
        signature: 'AA==',
      };
      return append({ type: 'KeyAnnounced', causes: [], data }, at).entry;
    },
    write: (said, at) => {
      const { entry, payload } = append(said, at);
      const parsed = event.parse(payload);
      if (!isMigrationEvent(parsed)) throw new Error(`expected an event of a migration, got ${parsed.type}`);
      return { entry, placed: { event: parsed, digest: digest.parse(entry.digest) } };
    },
  };
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

/** The entry as a lying broker shows it: another publisher's words under a digest that fits, and a signature that cannot. */
export function forged(entry: Entry): Entry {
  const envelope = JSON.parse(Buffer.from(entry.envelope, 'base64').toString()) as { payload: string };
  const payload = Buffer.from(envelope.payload, 'base64')
    .toString()
    .replace(/"time":"20(..)/, '"time":"19$1');
  const bytes = Buffer.from(JSON.stringify({ ...envelope, payload: base64(Buffer.from(payload)) }));
  return { ...entry, digest: sha256Hex(bytes), envelope: base64(bytes) };
}
