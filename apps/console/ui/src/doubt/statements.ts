import {
  BREAK_GLASS_PERSONS_MIN,
  type BreakGlassStatement,
  breakGlassPerson,
  CLOCK_SKEW_MS_MAX,
  type DsseEnvelope,
  dsseEnvelope,
  isSamePerson,
  PAYLOAD_TYPES,
} from '@carnet/events';
import { ed25519KeyId, ed25519Verifier, openEnvelope, parseStrictJson } from '@carnet/trust';
import { absolute } from '../parts/amounts.ts';
import { type Glass, statementIn } from './glass.ts';

/** Bytes of one file that is looked at: a person's statement has an envelope and a certificate, of 10 KiB together at most. */
export const FILE_BYTES_MAX = 32_768;
/** Files that are looked at together. */
export const FILES_MAX = 16;

/** What one file holds, as far as a browser can judge it. */
export interface Collected {
  readonly file: string;
  readonly from: 'person' | 'owner' | 'unknown';
  readonly who: string;
  readonly reason: string;
  readonly notAfter: string;
  /** Why it does not help to break this glass. */
  readonly fault?: string;
}

const utf8 = new TextEncoder();

/** Looks at what `carnet migration break-glass sign` or `fenced` printed. Nothing of it leaves the browser. */
export function collect(file: string, text: string, glass: Glass, nowMs: number): Collected {
  const json = parseStrictJson(utf8.encode(text.trim()));
  const person = json.ok ? breakGlassPerson.safeParse(json.value).data : undefined;
  if (person !== undefined) {
    const isOurs = person.principal.startsWith(`spiffe://${glass.source}/operator/`);
    const outside = isOurs ? undefined : `is no operator of ${glass.source} by name`;
    return judged(file, 'person', person.principal, person.envelope, outside, glass, nowMs);
  }
  const envelope = json.ok ? dsseEnvelope.safeParse(json.value).data : undefined;
  if (envelope === undefined)
    return { file, from: 'unknown', who: '', reason: '', notAfter: '', fault: 'is no statement about a broken glass' };
  return judged(file, 'owner', 'the owner', envelope, ownerFault(envelope, glass), glass, nowMs);
}

function judged(
  file: string,
  from: 'person' | 'owner',
  who: string,
  envelope: DsseEnvelope,
  outside: string | undefined,
  glass: Glass,
  nowMs: number,
): Collected {
  const said = statementIn(envelope);
  const fault = said === undefined ? 'says nothing that is understood' : (faultOf(said, from, glass, nowMs) ?? outside);
  const { reason = '', notAfter = '' } = said ?? {};
  return { file, from, who, reason, notAfter, ...(fault === undefined ? {} : { fault }) };
}

const NAMED = ['migration', 'vm', 'epoch', 'release', 'target'] as const;

function faultOf(said: BreakGlassStatement, from: 'person' | 'owner', glass: Glass, nowMs: number): string | undefined {
  if (said.says !== (from === 'person' ? 'resume-at-source' : 'target-is-fenced')) return 'says what somebody else has to say';
  const other = NAMED.find((name) => said[name] !== glass[name]);
  if (other !== undefined) return `is about another ${other}`;
  if (Date.parse(said.at) > nowMs + CLOCK_SKEW_MS_MAX) return 'is dated ahead of this clock';
  return Date.parse(said.notAfter) < nowMs ? `was good until ${absolute(said.notAfter)}` : undefined;
}

/** An owner's key is a bare one, so that a browser can check it; persons have certificates, which it cannot. */
function ownerFault(envelope: DsseEnvelope, { owner }: Glass): string | undefined {
  if (owner === undefined) return 'helps nobody: the VM names no owner';
  const raw = Uint8Array.from(atob(owner), (c) => c.charCodeAt(0));
  const opened = openEnvelope(utf8.encode(JSON.stringify(envelope)), PAYLOAD_TYPES.breakGlass, (keyid) =>
    keyid === ed25519KeyId(raw) ? ed25519Verifier(raw) : undefined,
  );
  return opened.ok ? undefined : 'is not signed by the key that the VM names';
}

/** Who has still to sign, in words. */
export function stillNeeded(collected: readonly Collected[], { source, owner }: Glass): readonly string[] {
  const good = collected.filter(({ fault }) => fault === undefined);
  const persons = good.filter(({ from }) => from === 'person').map(({ who }) => who);
  const different = persons.filter((who, i) => !persons.slice(0, i).some((other) => isSamePerson(other, who)));
  const missing = BREAK_GLASS_PERSONS_MIN - different.length;
  const others = different.length === 0 ? '' : `, other than ${different.join(' and ')}`;
  return [
    ...(missing > 0 ? [missing === 1 ? `1 operator of ${source}${others}` : `${missing} operators of ${source}`] : []),
    ...(good.some(({ from }) => from === 'owner') ? [] : [`the VM’s owner, key ${owner ?? ''}`]),
  ];
}
