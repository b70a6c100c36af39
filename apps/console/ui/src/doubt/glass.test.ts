import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ShownEvent } from '../migration/shown-event.ts';
import { brokenGlassOf, glassOf } from './glass.ts';
import { enveloped, FENCED, OWNER, SAID, signerOf } from './testing.ts';

/** A recorded history as a page has it: every signature was checked. */
const HISTORY = join(import.meta.dirname, '../../../../../test/histories/glass-broken-while-the-target-ran.golden.json');
type Told = { readonly digest: string; readonly event: Readonly<Record<string, unknown>> & { readonly data: object } };
const recorded: readonly Told[] = JSON.parse(readFileSync(HISTORY, 'utf8')).events;
const person = (name: string) => ({
  principal: `spiffe://csp-a.example/operator/${name}`,
  envelope: enveloped(signerOf(name), SAID),
  certificate: 'AA==',
});

function shown({ digest, event }: Told): ShownEvent {
  const text = (field: string): string => String(event[field]);
  const data =
    event['type'] === 'BreakGlassResumed'
      ? { ...event.data, persons: [person('anna'), person('ben')], owner: enveloped(OWNER, FENCED) }
      : event.data;
  return {
    entry: {
      digest,
      publisher: text('publisher'),
      audience: text('audience'),
      seq: text('seq'),
      type: text('type'),
      time: text('time'),
      state: 'received',
      envelope: '',
    },
    verdict: { kind: 'valid', keyid: '', announcedAt: '1', payload: { ...event, data } },
  };
}
const QUOTED = {
  policySet: 'ab'.repeat(32),
  version: 7,
  schema: 'ab'.repeat(32),
  entities: 'ab'.repeat(32),
  engine: 'cedar 4.13.0',
  allowed: true,
  request: 'ab'.repeat(32),
  determining: ['break-glass'],
  reasons: [{ code: 'ALLOWED', text: 'so it is' }],
};
/** The same, by a source that asked its policies. */
function quoting(one: ShownEvent): ShownEvent {
  if (one.entry.type !== 'BreakGlassResumed' || one.verdict.kind !== 'valid') return one;
  const payload = one.verdict.payload as Told['event'];
  const names = ['anna', 'ben'].map((name) => person(name).principal);
  const { vm, source, target } = { vm: SAID.vm, source: 'csp-a.example', target: 'csp-b.example' };
  const policy = names.map((principal) => ({
    ...QUOTED,
    asked: {
      action: 'break-glass',
      principal,
      vm,
      source,
      target,
      mode: 'cold',
      time: SAID.at,
      released: SAID.at,
      persons: names,
    },
  }));
  return { ...one, verdict: { ...one.verdict, payload: { ...payload, data: { ...payload.data, policy } } } };
}
const ALL = recorded.map(shown);
const upTo = (type: string): readonly ShownEvent[] => ALL.slice(0, ALL.findIndex(({ entry }) => entry.type === type) + 1);

describe('a release', () => {
  it('is what statements must name, once there is one', () => {
    expect(glassOf(upTo('ImageVerified'))).toBeUndefined();
    expect(glassOf(upTo('KeyReleased'))).toMatchObject({
      epoch: 1,
      source: 'csp-a.example',
      target: 'csp-b.example',
      deadline: '2026-11-23T11:00:00.000Z',
      release: ALL.find(({ entry }) => entry.type === 'KeyReleased')?.entry.digest,
    });
  });
  it('of which a signature is not checked, or that is void, is none', () => {
    const released = upTo('KeyReleased');
    const changed = (change: Partial<ShownEvent>) => [
      ...released.slice(0, -1),
      ...released.slice(-1).map((one) => ({ ...one, ...change })),
    ];
    expect(glassOf(changed({ verdict: { kind: 'unknown-key', text: '' } }))).toBeUndefined();
    const last = released.at(-1)?.entry;
    if (last === undefined) throw new Error('a release was recorded');
    expect(glassOf(changed({ entry: { ...last, voidCode: 'WRONG_PHASE' } }))).toBeUndefined();
  });
});

describe('a broken glass', () => {
  const broken = (type: string) => brokenGlassOf(upTo(type), glassOf(ALL));
  it('says who broke it, why, and which epoch counts', () => {
    expect(broken('VmHealthy')).toBeUndefined();
    const { reason, at, notAfter } = SAID;
    expect(broken('BreakGlassResumed')).toEqual({
      at: '2026-11-23T23:00:00.000Z',
      by: 'csp-a.example',
      opens: 2,
      persons: ['anna', 'ben'].map((name) => ({
        who: `spiffe://csp-a.example/operator/${name}`,
        said: expect.objectContaining({ reason, at, notAfter }),
      })),
      owner: { who: 'the owner', said: expect.objectContaining({ reason: FENCED.reason }) },
      copy: { kind: 'unknown' },
    });
  });
  it('says by which policies each person may, where the source asked them', () => {
    const { persons = [] } = brokenGlassOf(upTo('CopyFenced').map(quoting), glassOf(ALL)) ?? {};
    expect(persons.map(({ permittedBy }) => permittedBy)).toEqual(['anna', 'ben'].map(() => 'break-glass (set version 7)'));
  });
  it('says what became of the copy, as far as its CSP has said it', () => {
    expect(broken('SourceResumed')).toMatchObject({ resumedAt: '2026-11-23T23:00:00.000Z', copy: { kind: 'unknown' } });
    expect(broken('CopyFenced')?.copy.kind).toBe('fenced');
    expect(broken('CopyDiscarded')?.copy).toMatchObject({
      kind: 'discarded',
      by: 'spiffe://csp-b.example/operator/olga',
      reason: 'changed their mind',
    });
  });
});
