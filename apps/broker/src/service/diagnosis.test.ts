import { UNRESTRICTED } from '@carnet/events';
import type { PeerState } from '@carnet/journal';
import type { Suspected } from '@carnet/views';
import { describe, expect, it } from 'vitest';
import {
  breakGlassData,
  CSP_A,
  CSP_B,
  finish,
  given,
  M,
  type Party,
  propose,
  SAMPLE_DEADLINE_MS,
  START,
  step,
} from '../../../../libs/saga/src/testing.ts';
import { alarmsOf } from './alarms.ts';
import { diagnosisRow, OVERDUE_AFTER_MS, type Surroundings } from './diagnosis.ts';

const at = (afterMs: number) => new Date(Date.parse(START) + afterMs).toISOString() as typeof START;
const ledger = (publisher: typeof CSP_A, audience: typeof CSP_A, seq: number, coveredSeq = seq) =>
  ({ publisher, audience, head: { seq: String(seq) }, coveredSeq }) as unknown as PeerState['own'];
const quiet: PeerState = {
  peer: CSP_B,
  heardAt: START,
  own: ledger(CSP_A, CSP_B, 9),
  received: ledger(CSP_B, CSP_A, 7),
  claimedSeq: 7,
  proofs: [],
};
const around = (more: Partial<Surroundings> = {}): Surroundings => ({
  self: CSP_A,
  now: START,
  peer: quiet,
  hostsSilent: [],
  isGlassUnpermitted: false,
  lastFailure: undefined,
  ...more,
});
function stateOf({ journey }: Party) {
  const m = journey.migrations.find(({ id }) => id === M);
  if (m === undefined) throw new Error('every story begins with an intent');
  return { journey, m };
}
function rowOf(party: Party, more: Partial<Surroundings> = {}) {
  const { journey, m } = stateOf(party);
  return diagnosisRow(journey, m, around(more));
}
const codes = (party: Party, more: Partial<Surroundings> = {}) => rowOf(party, more).findings.map(({ code }) => code);

describe('a diagnosis', () => {
  it('says where it stands, who must act, and what nobody should do', () => {
    const row = rowOf(given('KeyReleased').a, { now: at(70_000) });
    expect(row).toMatchObject({
      standing: 'in-doubt',
      phase: 'released',
      turns: [{ domain: CSP_B, must: ['import the keys, or give the VM back'] }],
      findings: [{ code: 'IN_DOUBT', text: expect.stringContaining('for 70 s') }],
    });
    expect(row.unsafe.join()).toContain('Starting the VM at the source');
    expect(row.turns[0]).not.toHaveProperty('givesUpAt');
  });

  it('says at both sides that both ran, which copy is the VM, and what became of the other', () => {
    const late = at(SAMPLE_DEADLINE_MS + 30_001);
    const { a, b } = given('KeyReleased');
    const release = stateOf(a).m.facts.KeyReleased?.digest;
    if (release === undefined) throw new Error('the key is released');
    const broken = propose(a, { type: 'BreakGlassResumed', migration: M, data: breakGlassData(release, 2) }, late);
    const ran = Array.from({ length: 4 }).reduce<Party>((party) => step(party, START), b);
    const ended = finish({ a: broken, b: ran }, late);
    for (const party of [ended.a, ended.b]) {
      expect(codes(party, { now: late }).slice(0, 2)).toEqual(['BOTH_RAN', 'SPLIT_SUSPECTED']);
      const [both] = rowOf(party, { now: late }).findings;
      for (const words of [`epoch 2 at ${CSP_A}`, `epoch 1 at ${CSP_B} was stopped at`, 'is kept'])
        expect(both?.text).toContain(words);
    }
  });

  it.each<[string, Partial<Surroundings>, readonly string[]]>([
    ['nothing', {}, []],
    ['a peer that is not heard', { peer: { ...quiet, heardAt: at(-91_000) } }, ['PEER_SILENT']],
    [
      'a ledger that contradicts itself',
      { peer: { ...quiet, received: { ...quiet.received, frozen: { code: 'LEDGER_FORK' } } as PeerState['received'] } },
      ['PEER_FROZEN'],
    ],
    [
      'a restored database',
      { peer: { ...quiet, own: { ...quiet.own, quarantinedAt: START } as PeerState['own'] } },
      ['QUARANTINED'],
    ],
    [
      'a restored database, and events that are nowhere',
      { peer: { ...quiet, own: { ...quiet.own, quarantinedAt: START, lostSeq: 9 } as PeerState['own'] } },
      ['EVENTS_LOST'],
    ],
    [
      'events that the peer has not signed for',
      { peer: { ...quiet, own: ledger(CSP_A, CSP_B, 9, 6) } },
      ['EVENTS_NOT_ACKNOWLEDGED'],
    ],
    ['events that have not come', { peer: { ...quiet, claimedSeq: 8 } }, ['EVENTS_MISSING']],
    ['a host that is not heard', { hostsSilent: ['a1'] }, ['HOST_SILENT']],
    [
      'an attempt that failed',
      { lastFailure: { command: 'QuiesceVm', code: 'LIBVIRT_FAILED', text: 'no', at: START } },
      ['LAST_ATTEMPT_FAILED'],
    ],
  ])('finds %s', (_, more, found) => {
    expect(codes(given('TargetReady').a, more)).toEqual(found);
  });

  it('says to a source in doubt that its policies let nobody break the glass, while they can still be changed', () => {
    const { a, b } = given('KeyReleased');
    const owned = (party: Party): Party => ({
      ...party,
      journey: {
        ...party.journey,
        migrations: party.journey.migrations.map((m) => {
          const intent = m.facts.MigrationIntended;
          if (intent === undefined) throw new Error('every story begins with an intent');
          const spec = { ...intent.data.spec, restrictions: { ...UNRESTRICTED, owner: 'AA==' } };
          return { ...m, facts: { ...m.facts, MigrationIntended: { ...intent, data: { ...intent.data, spec } } } };
        }),
      },
    });
    const unpermitted = { isGlassUnpermitted: true };
    expect(codes(owned(a), unpermitted)).toEqual(['IN_DOUBT', 'GLASS_UNPERMITTED']);
    expect(codes(owned(a))).toEqual(['IN_DOUBT']);
    expect(codes(owned(b), { ...unpermitted, self: CSP_B })).not.toContain('GLASS_UNPERMITTED');
    // Nobody could, with whatever policies.
    expect(codes(a, unpermitted)).toEqual(['IN_DOUBT']);
    expect(codes(owned(given('ImageVerified').a), unpermitted)).not.toContain('GLASS_UNPERMITTED');
    expect(codes(owned(given('KeyImported').a), unpermitted)).not.toContain('GLASS_UNPERMITTED');
  });

  it('does not speak of our hosts while it is the peer’s turn', () => {
    expect(codes(given('SourceQuiesced').b, { self: CSP_B, peer: undefined, hostsSilent: ['b1'] })).toEqual([]);
  });

  it('finds what is overdue only when its time has been over for a while', () => {
    const { a } = given('SourceQuiesced');
    const [gaveUpAt] = rowOf(a).turns.flatMap(({ givesUpAt }) => givesUpAt ?? []);
    const after = (ms: number) => at(Date.parse(gaveUpAt ?? '') - Date.parse(START) + ms);
    const fresh = { ...quiet, heardAt: after(OVERDUE_AFTER_MS) };
    expect(codes(a, { now: after(OVERDUE_AFTER_MS - 1), peer: fresh })).not.toContain('OVERDUE');
    expect(codes(a, { now: after(OVERDUE_AFTER_MS), peer: fresh })).toContain('OVERDUE');
  });

  it('finds nothing in what has ended', () => {
    const row = rowOf(finish(given('KeyReleased')).a, { hostsSilent: ['a1'], peer: { ...quiet, heardAt: at(-91_000) } });
    expect(row).toMatchObject({ standing: 'moved', turns: [], findings: [] });
  });
});

describe('alarms', () => {
  /** As the table looks for them: by phase, or unchanged for long. */
  const views = (phase: string, updatedAt: string) => ({
    suspects: async ({ phases, unchangedSince }: Suspected) =>
      (phases.includes(phase) || updatedAt < unchangedSince ? [{ migration: M, phase, updatedAt }] : []) as never,
  });
  const alarms = (phase: string, party: Party, nowMs: number) =>
    alarmsOf(views(phase, START), CSP_A, at(nowMs - startMs), async () => stateOf(party));
  const startMs = Date.parse(START);

  it('a key that is out, and nobody has taken the VM', async () => {
    expect(await alarms('released', given('KeyReleased').a, startMs + 5_000)).toMatchObject([
      { migration: M, code: 'IN_DOUBT', since: START, seconds: 5 },
    ]);
  });

  it('what goes on as it should alarms nobody, and is not even looked at', async () => {
    const looked = alarmsOf(views('quiesced', START), CSP_A, at(5_000), () => Promise.reject(new Error('not looked at')));
    await expect(looked).resolves.toEqual([]);
  });

  it('what should have given up', async () => {
    const { a } = given('SourceQuiesced');
    const [alarm] = await alarms('quiesced', a, startMs + 100 * 3_600_000);
    expect(alarm).toMatchObject({ code: 'OVERDUE' });
    expect(alarm?.seconds).toBeGreaterThan(3_600);
  });
});
