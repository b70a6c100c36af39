import { hostName, type SignedEvidence } from '@carnet/events';
import type { FactType, Journey } from '@carnet/saga';
import { beforeAll, describe, expect, it } from 'vitest';
import { CSP_A, CSP_B, DISK, DISK_KEY, deliver, digestOf, given, NEW_DISK_KEY } from '../../../../libs/saga/src/testing.ts';
import { createPerformer } from './perform.ts';
import { type Certified, certified } from './testing/certified.ts';
import { about, changed, fakeContext, journeyAt, owed, type Parts, refusedBy, type Script } from './testing/fake-context.ts';

let pki: Certified;
beforeAll(async () => {
  pki = await certified();
}, 120_000);

async function perform(journey: Journey, type: Parameters<typeof owed>[2], script: Script = {}, parts: Parts = {}) {
  const world = fakeContext(CSP_B, journey, script, parts);
  const outcome = await createPerformer(world.context)(owed(journey, CSP_B, type));
  return { ...world, outcome };
}
const GONE = ['host forswear', 'host destroy', 'keys discard', 'event MigrationRelinquished'];

describe('a deposit', () => {
  it.each([
    'agentFault',
    'dataPathFault',
  ] as const)('under an agreement with a fault (%s) is given back before anything is dialled', async (which) => {
    const fault = () => ({ code: 'REFUSED_BY_TEST', text: 'not so' });
    const done = await perform(journeyAt('KeyDeposited'), 'AcknowledgeDeposit', {}, { peers: { [which]: fault } });
    expect(done.done).toEqual(GONE);
    expect(done.proposals).toMatchObject([{ reason: { code: 'REFUSED_BY_TEST' } }]);
  });
});

const NOT_KNOWN_NOW: Parts = { peers: { witnessFault: () => ({ code: 'EVIDENCE_UNJUDGED', text: 'CRL_STALE' }) } };

describe('an image', () => {
  const sealed = (evidence: (journey: Journey) => SignedEvidence, sizeBytes = 4_096): Journey => {
    const journey = journeyAt('ImageSealed');
    const artifacts = journey.migrations[0]?.facts.ImageSealed?.data.artifacts.map((one) => ({ ...one, sizeBytes }));
    return changed(journey, {
      OfferAgreed: { agent: pki.agent(CSP_A) },
      SourceQuiesced: { evidence: evidence(journey) },
      ImageSealed: { artifacts },
    });
  };
  const saved = (journey: Journey, other: object = {}, host = hostName.parse('host-1')) =>
    pki.testify(CSP_A, { ...about(journey, 'saved'), ...other }, host);

  it('is fetched when the source’s pinned agent testified that the VM stands still', async () => {
    const done = await perform(sealed(saved), 'ReceiveImage', { receive: [{ kind: 'running' }] });
    expect([done.done, done.outcome.kind]).toEqual([['host receive'], 'running']);
  });

  it.each<readonly [string, (journey: Journey) => SignedEvidence]>([
    ['by another host', (journey) => saved(journey, {}, hostName.parse('host-2'))],
    ['of another kind', (journey) => saved(journey, { kind: 'stopped' })],
    ['of another epoch', (journey) => saved(journey, { epoch: 9 })],
    ['of another VM', (journey) => saved(journey, { vm: 'csp-a.example/00000000-0000-4000-8000-000000000000' })],
    ['by another CSP', (journey) => pki.testify(CSP_B, about(journey, 'saved'))],
    ['by nobody', () => ({ payloadType: 'x', payload: 'e30=', signatures: [{ keyid: 'k', sig: 'AA==' }] })],
  ])('is not fetched on evidence %s', async (_, evidence) => {
    const done = await perform(sealed(evidence), 'ReceiveImage');
    expect(done.done).toEqual(GONE);
    expect(done.proposals).toMatchObject([{ reason: { code: 'EVIDENCE_INVALID' } }]);
  });

  it('waits while nobody knows whether the evidence counts: a list that is missing for a moment ends no move', async () => {
    const done = await perform(sealed(saved), 'ReceiveImage', {}, NOT_KNOWN_NOW);
    expect([done.done, done.outcome]).toMatchObject([[], { kind: 'failed', code: 'EVIDENCE_UNJUDGED' }]);
  });

  it('larger than what was reserved is not fetched', async () => {
    const done = await perform(sealed(saved, 17_592_186_044_416), 'ReceiveImage');
    expect(done.proposals).toMatchObject([{ type: 'Relinquish', reason: { code: 'IMAGE_TOO_LARGE' } }]);
  });
});

describe('importing', () => {
  it('never replaces a VM that is held here: it is given back, and what is held stays', async () => {
    const done = await perform(journeyAt('KeyReleased'), 'ImportKeys', {}, { inventory: { add: async () => false } });
    expect(done.done).toEqual(['keys open', 'host trialUnlock', ...GONE]);
    expect(done.proposals).toMatchObject([{ reason: { code: 'VM_PRESENT' } }]);
  });

  it('whose key opens no volume is giving the VM back, with the first reason however many attempts it takes', async () => {
    const journey = journeyAt('KeyReleased');
    const world = fakeContext(CSP_B, journey, {
      trialUnlock: [refusedBy('LUKS_DOES_NOT_OPEN'), refusedBy('ARTIFACT_MISSING')],
      destroy: [
        { kind: 'running' },
        { kind: 'done', result: { step: 'destroy', artifacts: [], fates: [] }, evidence: undefined },
      ],
    });
    const performer = createPerformer(world.context);
    expect((await performer(owed(journey, CSP_B, 'ImportKeys'))).kind).toBe('running');
    await performer(owed(journey, CSP_B, 'ImportKeys'));
    expect(world.proposals).toMatchObject([{ type: 'Relinquish', reason: { code: 'LUKS_DOES_NOT_OPEN' } }]);
  });
});

describe('giving back', () => {
  it('after the import takes the VM out of the inventory, and before it does not', async () => {
    const imported = deliver(given('StartAuthorized')).b.journey;
    const late = await perform(imported, 'StartVm', { start: [refusedBy('LUKS_DOES_NOT_OPEN')] });
    expect(late.done).toEqual([
      'host start',
      'host forswear',
      'host destroy',
      'keys discard',
      'inventory remove',
      'event MigrationRelinquished',
    ]);
  });

  it('is what the loss of what came leads to, even after the start was authorised: then the host swears, or has sworn', async () => {
    const journey = journeyAt('StartAuthorized');
    const [of] = journey.migrations;
    if (of === undefined) throw new Error('no migration');
    const here = async () => ({ kind: 'lost', of, code: 'SPARE_MISSING', text: 'no spare' }) as const;
    const done = await perform(journey, 'StartVm', {}, { here });
    expect(done.done.slice(0, 2)).toEqual(['host forswear', 'host destroy']);
    expect(done.proposals).toMatchObject([{ type: 'Relinquish', reason: { code: 'SPARE_MISSING' } }]);
  });

  it('says nothing to the peer while the host has not sworn', async () => {
    const done = await perform(journeyAt('StartAuthorized'), 'StartVm', {
      start: [refusedBy('BOOT_IMAGE_UNKNOWN')],
      forswear: [refusedBy('VM_MAY_HAVE_RUN')],
    });
    expect([done.done, done.outcome]).toMatchObject([
      ['host start', 'host forswear'],
      { kind: 'failed', code: 'VM_MAY_HAVE_RUN' },
    ]);
  });

  it('is what a host that swore never to run it leads to', async () => {
    const done = await perform(journeyAt('StartAuthorized'), 'StartVm', { start: [refusedBy('VM_FORSWORN')] });
    expect(done.proposals).toMatchObject([{ type: 'Relinquish', reason: { code: 'VM_FORSWORN' }, never: expect.anything() }]);
  });
});

const rekeying = (last: FactType, method: 'slot' | 'full' = 'full'): Journey =>
  journeyAt(last, { MigrationOffered: { rekey: method }, KeyDeposited: { keys: depositedDisks() } });

/** The sample deposit is of mode suspend: its memory key is never replaced. */
function depositedDisks() {
  return journeyAt('KeyDeposited').migrations[0]?.facts.KeyDeposited?.data.keys.map((key) =>
    key.kind === 'disk' ? { ...key, headerDigest: digestOf('3') } : key,
  );
}

describe('re-keying', () => {
  it.each([
    'slot',
    'full',
  ] as const)('%s: new keys first, then the host, then the old keys with the event; nothing is authorised before', async (method) => {
    const done = await perform(rekeying('KeyImported', method), 'ReplaceKeys');
    expect(done.done).toEqual(['keys replace', 'host rekey', 'keys end replaced', 'inventory respec', 'event VolumeRekeyed']);
    const [proposal] = done.proposals;
    expect(proposal).toMatchObject({
      data: {
        method,
        volumes: [
          {
            artifact: DISK,
            from: { key: DISK_KEY, headerDigest: digestOf('3') },
            to: { key: NEW_DISK_KEY, headerDigest: digestOf('4') },
          },
        ],
      },
    });
  });

  it('that the host refuses gives the VM back', async () => {
    const done = await perform(rekeying('KeyImported'), 'ReplaceKeys', { rekey: [refusedBy('NO_ROOM')] });
    expect(done.done).toEqual([
      'keys replace',
      'host rekey',
      'host forswear',
      'host destroy',
      'keys discard',
      'inventory remove',
      'event MigrationRelinquished',
    ]);
    expect(done.proposals).toMatchObject([
      { reason: { code: 'NO_ROOM' }, receipt: { artifactFates: [{ artifact: DISK, fate: 'header-overwritten' }] } },
    ]);
  });

  it.each([
    [{ kind: 'running' }, 'running'],
    [{ kind: 'failed', code: 'TOOL_FAILED', text: 'by accident' }, 'failed'],
    [{ kind: 'done', result: { step: 'rekey', method: 'full', volumes: [] }, evidence: undefined }, 'failed'],
  ] as const)('that is not done (%j) destroys no key and says nothing', async (outcome, kind) => {
    const done = await perform(rekeying('KeyImported'), 'ReplaceKeys', { rekey: [outcome] });
    expect([done.done, done.outcome.kind]).toEqual([['keys replace', 'host rekey'], kind]);
  });

  it('is offered as demanded, or as this CSP does anyway', async () => {
    const offered = async (rekey: 'slot' | 'full' | undefined, rekeyArriving: 'none' | 'slot') => {
      const journey = journeyAt('MigrationIntended', rekey === undefined ? {} : { MigrationIntended: { rekey } });
      const done = await perform(journey, 'AnswerIntent', {}, { settings: { rekeyArriving } });
      return done.proposals.map((one) => (one.type === 'MigrationOffered' ? (one.data.rekey ?? 'none') : one.type));
    };
    expect(await offered(undefined, 'none')).toEqual(['none']);
    expect(await offered(undefined, 'slot')).toEqual(['slot']);
    expect(await offered('full', 'slot')).toEqual(['full']);
  });
});

describe('starting', () => {
  const stopped = (was: string): Journey => {
    const journey = journeyAt('KeyImported');
    return changed(journey, {
      MigrationIntended: { mode: 'cold' },
      OfferAgreed: { agent: pki.agent(CSP_A) },
      SourceQuiesced: { evidence: pki.testify(CSP_A, { ...about(journey, 'stopped'), facts: { was } }) },
    });
  };

  it.each([
    ['running', true],
    ['shutoff', false],
  ])('a VM that was %s: vCPUs run: %s', async (was, startVcpus) => {
    const done = await perform(stopped(was), 'AuthorizeStart');
    expect(done.proposals).toMatchObject([{ data: { startVcpus } }]);
  });

  it('a VM of which it is not known now waits: what is authorised is for good', async () => {
    const done = await perform(stopped('running'), 'AuthorizeStart', {}, NOT_KNOWN_NOW);
    expect([done.done, done.outcome]).toMatchObject([[], { kind: 'failed', code: 'EVIDENCE_UNJUDGED' }]);
  });

  it('is authorised in the ledger before any host hears of it', async () => {
    const done = await perform(journeyAt('KeyImported'), 'AuthorizeStart');
    expect(done.done).toEqual(['event StartAuthorized']);
  });
});

describe('what a restored database has lost, and cannot bring back', () => {
  const lost = { here: async () => ({ kind: 'lost', of: {}, code: 'SPARE_MISSING', text: 'no spare' }) } as unknown as Parts;

  it('is given back before anything is authorised', async () => {
    const done = await perform(journeyAt('KeyImported'), 'AuthorizeStart', {}, lost);
    expect(done.done).toEqual([...GONE.slice(0, 3), 'inventory remove', ...GONE.slice(3)]);
    expect(done.proposals).toMatchObject([{ reason: { code: 'SPARE_MISSING' } }]);
  });

  it('is never finalized: the source keeps its copy', async () => {
    const done = await perform(journeyAt('VolumeRekeyed'), 'Finalize', {}, lost);
    expect(done.outcome).toMatchObject({ kind: 'failed', code: 'SPARE_MISSING' });
    expect(done.done).toEqual([]);
  });

  it('waits while own ledgers are not back', async () => {
    const later = { here: async () => ({ kind: 'later' }) } as Parts;
    expect((await perform(journeyAt('VolumeRekeyed'), 'Finalize', {}, later)).outcome.kind).toBe('running');
    expect((await perform(journeyAt('KeyImported'), 'AuthorizeStart', {}, later)).done).toEqual([]);
  });
});
