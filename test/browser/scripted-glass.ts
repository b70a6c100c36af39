import { createHash, createPrivateKey } from 'node:crypto';
import { breakGlassResumed, type MigrationMode, PAYLOAD_TYPES, spiffeId, timestamp, UNRESTRICTED, vmSpec } from '@carnet/events';
import { decideBreakGlass, questionsAbout } from '@carnet/policy';
import { ed25519Signer, type Signer, signEnvelope } from '@carnet/trust';
import { setOf, user } from '../../libs/policy/src/testing.ts';
import { CSP_A, CSP_B, type Said, type ScriptedLedgers, type Telling, tellLedgers } from './scripted-ledgers.ts';

/** Events of the recorded histories up to the release, and to the fenced copy. */
const UP_TO_RELEASE = 10;
const UP_TO_FENCED = 17;

const signerOf = (word: string) => {
  const seed = createHash('sha256').update(word).digest();
  const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]);
  return ed25519Signer(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }));
};
const OWNER = signerOf('owner');
const PEOPLE = ['anna', 'ben'].map((name) => `spiffe://${CSP_A}/operator/${name}`);
const RULES = setOf('@id("break-glass") permit (principal in Role::"operator", action == Action::"break-glass", resource);', {
  entities: PEOPLE.map((name) => user(name, ['operator'])),
});
const REASON = 'csp-b.example answers neither on the bus nor on the phone: its data centre burnt down';

/** A VM with an owner whose release has no answer; another one whose glass was broken, while its target ran it. */
export interface GlassLedgers {
  readonly ledgers: ScriptedLedgers;
  readonly doubtful: string;
  readonly broken: string;
  /** The same, once the copy was given up. */
  readonly later: ScriptedLedgers;
  /** Files that people at the source hold about the doubtful one, by name. */
  readonly files: Readonly<Record<string, string>>;
}

export function tellGlass(before: readonly Telling[], startMs: number): GlassLedgers {
  const doubt: Telling = { history: 'cold-to-the-end', label: 'e5', startMs, upTo: UP_TO_RELEASE, retold: owned };
  const glass: Telling = {
    history: 'glass-broken-while-the-target-ran',
    label: 'f6',
    startMs: startMs + 600_000,
    retold: words(),
  };
  const ledgers = tellLedgers([...before, doubt, { ...glass, retold: words(), upTo: UP_TO_FENCED }]);
  const later = tellLedgers([...before, doubt, { ...glass, retold: words() }]);
  const idOf = (label: string) => ledgers.entries.find((e) => e.migration?.includes(`0${label}-00`))?.migration ?? '';
  const doubtful = idOf('e5');
  const release = ledgers.entries.find((e) => e.migration === doubtful && e.type === 'KeyReleased')?.digest ?? '';
  const vm = ledgers.journeys.find(({ migrations }) => migrations.some(({ id }) => id === doubtful))?.vm ?? '';
  // Statements of today: the browser's own clock says whether they are still good.
  const today = (ms: number) => new Date(Date.now() + ms).toISOString();
  const of = {
    migration: doubtful,
    vm,
    epoch: 1,
    release,
    target: CSP_B,
    reason: REASON,
    at: today(-60_000),
    notAfter: today(3_600_000),
  };
  const files = {
    'anna.json': personFile('anna', of),
    'ben-of-the-move-before.json': personFile('ben', { ...of, epoch: 2 }),
    'ben.json': personFile('ben', of),
    'owner.json': JSON.stringify(enveloped(OWNER, { ...of, says: 'target-is-fenced' })),
  };
  return { ledgers, later, doubtful, broken: idOf('f6'), files };
}

const enveloped = (signer: Signer, said: object): unknown =>
  JSON.parse(Buffer.from(signEnvelope(PAYLOAD_TYPES.breakGlass, Buffer.from(JSON.stringify(said)), signer)).toString());
/** Its certificate is a stand-in, as those of the ledgers are. */
const person = (name: string, said: object) => ({
  principal: spiffeId.parse(`spiffe://${CSP_A}/operator/${name}`),
  envelope: enveloped(signerOf(name), { ...said, says: 'resume-at-source' }),
  certificate: 'AA==',
});
const personFile = (name: string, said: object): string => JSON.stringify(person(name, said));

type Data = Readonly<Record<string, unknown>>;
const owner = Buffer.from(OWNER.publicKey).toString('base64');
const owned = ({ type, data }: Said): object =>
  type === 'MigrationIntended'
    ? { ...data, spec: { ...(data['spec'] as object), restrictions: { ...UNRESTRICTED, owner } } }
    : data;

/** Remembers what was told before: the words under the broken glass name it. */
function words(): NonNullable<Telling['retold']> {
  const told = new Map<string, { readonly data: Data; readonly at: string }>();
  return (said, at) => {
    const { type, migration, data } = said;
    const retold = owned(said) as Data;
    told.set(type, { data: retold, at });
    const [intent, released] = [told.get('MigrationIntended')?.data, told.get('KeyReleased')?.at];
    if (type !== 'BreakGlassResumed' || intent === undefined || released === undefined) return retold;
    const spec = vmSpec.parse(intent['spec']);
    const of = {
      migration,
      vm: intent['vm'],
      epoch: 1,
      release: data['release'],
      target: CSP_B,
    };
    const notAfter = timestamp.parse(new Date(Date.parse(at) + 3_600_000).toISOString());
    const statement = { ...of, reason: REASON, at, notAfter };
    const glass = {
      vm: intent['vm'] as never,
      source: CSP_A,
      target: CSP_B,
      mode: intent['mode'] as MigrationMode,
      spec,
      released: timestamp.parse(released),
    };
    return breakGlassResumed.parse({
      ...data,
      persons: [person('anna', statement), person('ben', { ...statement, reason: 'as anna says; I was there when she called' })],
      owner: enveloped(OWNER, { ...statement, says: 'target-is-fenced', reason: 'my lawyer saw the ruins' }),
      policy: questionsAbout(glass, PEOPLE, timestamp.parse(at)).map((asked) => decideBreakGlass(RULES, asked, glass)),
    });
  };
}
