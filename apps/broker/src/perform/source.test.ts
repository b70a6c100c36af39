import { hostName, type SignedEvidence } from '@carnet/events';
import type { FactType, Journey } from '@carnet/saga';
import { beforeAll, describe, expect, it } from 'vitest';
import { CSP_A, CSP_B, deliver, given, RECEIPT, relinquish, withdraw } from '../../../../libs/saga/src/testing.ts';
import { KeyRefused } from '../keys/handover-keys.ts';
import { memoryOf, type PerformContext } from './context.ts';
import { createPerformer } from './perform.ts';
import { type Certified, certified } from './testing/certified.ts';
import { about, changed, fakeContext, journeyAt, owed, type Parts, refusedBy, type Script } from './testing/fake-context.ts';

let pki: Certified;
beforeAll(async () => {
  pki = await certified();
}, 120_000);

type Of = Parameters<typeof owed>[2];
async function perform(journey: Journey, type: Of, script: Script = {}, parts: Parts = {}) {
  const world = fakeContext(CSP_A, journey, script, parts);
  const outcome = await createPerformer(world.context)(owed(journey, CSP_A, type));
  return { ...world, outcome };
}

/** A has withdrawn, or has released, and B has given the VM back. */
const withdrawn = (last: FactType): Journey => deliver({ ...given(last), a: withdraw(given(last).a) }).a.journey;
function givenBack(never: (journey: Journey) => SignedEvidence | undefined): Journey {
  const pair = given('KeyReleased');
  const { journey } = deliver({ ...pair, b: relinquish(pair.b) }).a;
  return changed(journey, {
    MigrationOffered: { agent: pki.agent(CSP_B) },
    MigrationRelinquished: { receipt: RECEIPT, never: never(journey) },
  });
}
const never = (journey: Journey, other: object = {}, host = hostName.parse('host-1')) =>
  pki.testify(CSP_B, { ...about(journey, 'never', CSP_B), ...other }, host);

describe('agreeing', () => {
  it('to an offer whose agent is not the peer’s is withdrawing; no host is asked', async () => {
    const agentFault = () => ({ code: 'AGENT_UNTRUSTED', text: 'whose?' });
    const done = await perform(journeyAt('MigrationOffered'), 'AgreeOffer', {}, { peers: { agentFault } });
    expect(done.done).toEqual(['keys reinstate', 'keys memoryUsed', 'event MigrationWithdrawn']);
    expect(done.proposals).toMatchObject([{ type: 'Withdraw', reason: { code: 'AGENT_UNTRUSTED' } }]);
  });

  it('is refused before anything is asked of a host when keys do not leave here in its profile', async () => {
    const settings = { kemsLeaving: ['0x0010'] as const };
    const done = await perform(journeyAt('MigrationOffered'), 'AgreeOffer', {}, { settings });
    expect(done.done).toEqual(['keys reinstate', 'keys memoryUsed', 'event MigrationWithdrawn']);
    expect(done.proposals).toMatchObject([{ type: 'Withdraw', reason: { code: 'PROFILE_NOT_ACCEPTED' } }]);
    const agreed = await perform(
      journeyAt('MigrationOffered'),
      'AgreeOffer',
      {},
      { settings: { kemsLeaving: ['0x647a', '0x0010'] } },
    );
    expect(agreed.done.at(-1)).toBe('event OfferAgreed');
  });
});

it('agreeing to an offer outside of the agreement, in the KEM that the peer offered, is withdrawing; no host is asked', async () => {
  const asked: unknown[] = [];
  const agreementFault = async (...of: readonly unknown[]) => {
    asked.push(of);
    return { code: 'ALGORITHM_NOT_AGREED', text: 'not that one' };
  };
  const journey = journeyAt('MigrationOffered');
  const done = await perform(journey, 'AgreeOffer', {}, { peers: { agreementFault } });
  expect(done.done).toEqual(['keys reinstate', 'keys memoryUsed', 'event MigrationWithdrawn']);
  expect(done.proposals).toMatchObject([{ type: 'Withdraw', reason: { code: 'ALGORITHM_NOT_AGREED' } }]);
  const { MigrationIntended, MigrationOffered } = journey.migrations[0]?.facts ?? {};
  expect(asked).toEqual([[CSP_B, { mode: MigrationIntended?.data.mode, target: CSP_B, kem: MigrationOffered?.data.kem }]]);
});

describe('withdrawing', () => {
  it('destroys the key of a memory state that nothing can have been saved with', async () => {
    const done = await perform(journeyAt('KeyDeposited'), 'QuiesceVm').catch(() => undefined);
    expect(done).toBeUndefined();
    const early = await perform(journeyAt('OfferAgreed'), 'DepositKeys', { trialUnlock: [refusedBy('LUKS_DOES_NOT_OPEN')] });
    expect(early.done.slice(1)).toEqual(['keys reinstate', 'keys memoryUsed', 'event MigrationWithdrawn']);
  });

  it('keeps it when the VM may have been saved with it', async () => {
    const late = await perform(journeyAt('TargetReady'), 'QuiesceVm', { quiesce: [refusedBy('MEMORY_STATE_LOST')] });
    expect(late.done.slice(1)).toEqual(['keys reinstate', 'event MigrationWithdrawn']);
  });
});

describe('stopping the VM', () => {
  it('waits for the proof that the target holds the deposit: without it no host is asked', async () => {
    const confirm = async () =>
      ({ ok: false, code: 'ACKNOWLEDGEMENT_MAC_WRONG', text: 'a MAC is wrong', retryable: false }) as const;
    const lied = await perform(journeyAt('TargetReady'), 'QuiesceVm', {}, { keys: { confirm } });
    expect(lied.done).toEqual(['keys reinstate', 'event MigrationWithdrawn']);
    expect(lied.proposals).toMatchObject([{ type: 'Withdraw', reason: { code: 'ACKNOWLEDGEMENT_MAC_WRONG' } }]);
  });
});

describe('what cannot be taken back at a host', () => {
  it.each([
    ['QuiesceVm', 'TargetReady', 'SourceQuiesced'],
    ['ReleaseKeys', 'ImageVerified', 'KeyReleased'],
    ['RetireSource', 'MigrationFinalized', 'SourceRetired'],
  ] as const)('%s is not asked once our own side has said otherwise', async (command, at, said) => {
    const journey = changed(journeyAt(at), {
      MigrationOffered: { agent: pki.agent(CSP_B) },
      ...(at !== 'MigrationFinalized'
        ? {}
        : { VmStarted: { evidence: pki.testify(CSP_B, about(journeyAt(at), 'started', CSP_B)) } }),
    });
    const settled = async () => ({ ok: true as const, journey: journeyAt(said) });
    const overtaken = await perform(journey, command, {}, { ledgers: { settled } });
    expect([overtaken.done, overtaken.outcome]).toMatchObject([[], { kind: 'running' }]);
    const quarantined = async () => ({ ok: false as const, code: 'LEDGER_QUARANTINED', text: 'not whole' });
    const unsettled = await perform(journey, command, {}, { ledgers: { settled: quarantined } });
    expect([unsettled.done, unsettled.outcome]).toMatchObject([[], { kind: 'failed', code: 'LEDGER_QUARANTINED' }]);
  });
});

describe('releasing', () => {
  it('asks nothing of the key manager before the host has surrendered', async () => {
    const silent = await perform(journeyAt('ImageVerified'), 'ReleaseKeys', {
      surrender: [{ kind: 'failed', code: 'HOST_UNAVAILABLE', text: 'no answer' }],
    });
    expect([silent.done, silent.outcome]).toMatchObject([['host surrender'], { kind: 'failed' }]);
  });
});

describe('releasing to a peer of whom it is not known that it is one', () => {
  const refusing = (code: string) => ({ peers: { releaseFault: async () => ({ code, text: 'the certificate' }) } });

  it.each([
    'CRL_STALE',
    'CRL_MISSING',
    'CRL_NUMBER_BACK',
    'EXPIRED',
  ])('%s: tried again later; the host surrenders nothing', async (code) => {
    const stopped = await perform(journeyAt('ImageVerified'), 'ReleaseKeys', {}, refusing(code));
    expect([stopped.done, stopped.proposals, stopped.outcome]).toMatchObject([[], [], { kind: 'failed', code }]);
  });

  it('REVOKED: withdrawn, while the VM can still come back on our own word', async () => {
    const ended = await perform(journeyAt('ImageVerified'), 'ReleaseKeys', {}, refusing('REVOKED'));
    expect(ended.done).not.toContain('host surrender');
    expect(ended.proposals).toMatchObject([{ type: 'Withdraw', reason: { code: 'PEER_REVOKED' } }]);
  });
});

describe('resuming', () => {
  it('after a release takes the word of the pinned agent that the VM never runs there', async () => {
    const done = await perform(givenBack(never), 'ResumeVm');
    expect(done.done).toEqual(['keys reinstate', 'host resume relinquished', 'keys memoryUsed', 'event SourceResumed']);
  });

  it.each<readonly [string, (journey: Journey) => SignedEvidence | undefined]>([
    ['nobody’s', () => undefined],
    ['that of another host', (journey) => never(journey, {}, hostName.parse('host-2'))],
    ['about another epoch', (journey) => never(journey, { epoch: 9 })],
    ['about another VM', (journey) => never(journey, { vm: 'csp-a.example/00000000-0000-4000-8000-000000000000' })],
    ['about another migration', (journey) => never(journey, { migration: '01970009-0000-7000-8000-000000000000' })],
    ['of something else', (journey) => never(journey, { kind: 'destroyed' })],
    ['of our own agent', (journey) => pki.testify(CSP_A, about(journey, 'never', CSP_B))],
    ['in our own name', (journey) => never(journey, { domain: CSP_A })],
  ])('after a release not on a word that is %s: no key is reinstated, no host is asked', async (_, word) => {
    const done = await perform(givenBack(word), 'ResumeVm');
    expect([done.done, done.outcome]).toMatchObject([[], { kind: 'failed', code: 'EVIDENCE_INVALID' }]);
  });

  it('after a withdrawal takes our own word, and destroys the memory key', async () => {
    const done = await perform(withdrawn('SourceQuiesced'), 'ResumeVm');
    expect(done.done).toEqual(['keys reinstate', 'host resume withdrawn', 'keys memoryUsed', 'event SourceResumed']);
  });

  it.each([
    ['KEY_UNKNOWN', 'event SourceResumed'],
    ['KEY_NOT_ACTIVE', 'event SourceResumed'],
    ['HOST_UNAVAILABLE', 'keys reinstate'],
  ])('saved memory whose key is refused as %s: only one that is lost is done without', async (code, last) => {
    const suspended = changed(withdrawn('SourceQuiesced'), { MigrationIntended: { mode: 'suspend' } });
    const { key } = memoryOf(owed(suspended, CSP_A, 'ResumeVm').migration);
    const asked: string[] = [];
    const secretForHost: PerformContext['keys']['secretForHost'] = async (_, of) => {
      asked.push(of);
      if (of === key) throw new KeyRefused(code, 'not here');
      return { key: of, sealed: 'AA==' };
    };
    const done = await perform(suspended, 'ResumeVm', {}, { keys: { secretForHost } });
    expect(asked).toContain(key);
    expect(done.done.at(-1)).toBe(last);
    expect(done.outcome).toMatchObject(code.startsWith('KEY_') ? { kind: 'recorded' } : { kind: 'failed', code });
  });

  it.each(['PROOF_MISSING', 'STEP_CONFLICT'])('after a withdrawal needs the peer’s word where the host says %s', async (code) => {
    const alone = await perform(withdrawn('ImageSealed'), 'ResumeVm', { resume: [refusedBy(code)] });
    expect([alone.done.at(-1), alone.outcome]).toMatchObject(['host resume withdrawn', { kind: 'failed', code }]);
    const pair = given('ImageSealed');
    const ended = deliver({ a: withdraw(pair.a), b: relinquish(pair.b) }).a.journey;
    const both = fakeContext(CSP_A, ended, {
      resume: [refusedBy(code), { kind: 'done', result: { step: 'resume', ran: true }, evidence: undefined }],
    });
    await createPerformer(both.context)(owed(ended, CSP_A, 'ResumeVm'));
    expect(both.done.slice(1, 3)).toEqual(['host resume withdrawn', 'host resume relinquished']);
    expect(both.done.at(-1)).toBe('event SourceResumed');
  });
});

describe('retiring', () => {
  const retired = (started: (journey: Journey) => SignedEvidence) => {
    const journey = journeyAt('MigrationFinalized');
    return perform(
      changed(journey, { MigrationOffered: { agent: pki.agent(CSP_B) }, VmStarted: { evidence: started(journey) } }),
      'RetireSource',
    );
  };

  it('destroys once the pinned agent testified that the VM was started there', async () => {
    const done = await retired((journey) => pki.testify(CSP_B, about(journey, 'started', CSP_B)));
    expect(done.done).toEqual(['host retire', 'keys retire', 'inventory remove', 'event SourceRetired']);
  });

  it('destroys nothing on anybody else’s word', async () => {
    const done = await retired((journey) => pki.testify(CSP_B, about(journey, 'started', CSP_B), hostName.parse('host-2')));
    expect([done.done, done.outcome]).toMatchObject([[], { kind: 'failed', code: 'EVIDENCE_INVALID' }]);
  });
});
