import { PROOF_BYTES_MAX, PROOF_EVENTS_MAX } from '@carnet/events';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seqOf, sha256Hex } from './bytes.ts';
import { type Contradiction, judgeProof } from './judge-proof.ts';
import { type Proof, proofFileOf, readProof } from './proof.ts';
import type { ProofCode } from './proof-codes.ts';
import { refuse } from './refusal.ts';
import { domainA, domainB, NOW_MS, seal, someDigest, timeAt } from './testing/ledger.ts';
import {
  acknowledgement,
  announcementOf,
  answered,
  checkpointOf,
  citing,
  endOf,
  eventAt,
  headOf,
  keyA,
  keyB,
  message,
  NOWHERE,
  PROOFS,
  rival,
  rules,
  stranger,
  toA,
  toB,
  told,
  toldBy,
  treeOf,
} from './testing/proofs.ts';

const KINDS = Object.keys(PROOFS) as readonly Contradiction['kind'][];
const verdictOf = (proof: Proof, by = rules): string => {
  const judged = judgeProof(proof, by);
  return judged.ok ? judged.value.contradiction.kind : judged.code;
};
const [announced = new Uint8Array(), second = new Uint8Array(), third = new Uint8Array()] = told;

describe('what convinces', () => {
  it.each(KINDS)('%s', (kind) => {
    expect(judgeProof(PROOFS[kind], rules)).toMatchObject({
      ok: true,
      value: { statement: sha256Hex(PROOFS[kind].statement), contradiction: { kind }, keys: [{ keyid: keyA.keyid }] },
    });
  });

  it('a second beginning of a ledger, under a key that it introduces itself', () => {
    const again = announcementOf(toB, stranger);
    expect(judgeProof({ ...PROOFS['two-events'], statement: again, accusedEvents: [announced] }, rules)).toMatchObject({
      value: {
        contradiction: { kind: 'two-events', seq: '1', held: sha256Hex(announced), told: sha256Hex(again) },
        keys: [{ keyid: stranger.keyid }, { keyid: keyA.keyid }],
      },
    });
  });

  it('an unknown cause by the accused’s own later head, or to whoever holds the audience’s ledger', () => {
    const { acknowledgement: _, ...unacknowledged } = PROOFS['unknown-cause'];
    const older = headOf({ own: { seq: seqOf(3), digest: sha256Hex(third) }, received: endOf(answered.slice(0, 1)) });
    const convinced = { ok: true, value: { contradiction: { kind: 'unknown-cause', seq: '4', cause: NOWHERE, shown: 3 } } };
    expect(judgeProof(PROOFS['unknown-cause'], rules)).toMatchObject(convinced);
    for (const proof of [unacknowledged, { ...unacknowledged, acknowledgement: older }]) {
      expect(judgeProof(proof, rules)).toMatchObject({ ok: false, code: 'PROOF_UNACKNOWLEDGED' });
      expect(judgeProof(proof, rules, 'whole')).toMatchObject(convinced);
    }
  });
});

/** What somebody makes of a good proof, by one change. */
type Forgery = readonly [what: string, code: ProofCode, forge: (proof: Proof) => Proof];
const ofEvery: readonly Forgery[] = [
  [
    'of a statement by a key that nothing introduces',
    'PROOF_KEY_UNVOUCHED',
    (proof) => ({ ...proof, statement: resigned(proof.statement, stranger) }),
  ],
  [
    'of a signature by another key than it names',
    'PROOF_NOT_SIGNED',
    (proof) => ({ ...proof, statement: resigned(proof.statement, { ...stranger, keyid: keyA.keyid }) }),
  ],
  [
    'without what introduces the key',
    'PROOF_KEY_UNVOUCHED',
    (proof) => ({ ...proof, accusedEvents: proof.accusedEvents.filter((bytes) => bytes !== announced) }),
  ],
  [
    'with the key introduced to another audience',
    'PROOF_KEY_UNVOUCHED',
    (proof) => ({
      ...proof,
      accusedEvents: proof.accusedEvents.map((bytes) =>
        bytes === announced ? announcementOf({ ...toB, audience: domainA }, keyA) : bytes,
      ),
    }),
  ],
  [
    'with the key introduced by another CSP',
    'PROOF_KEY_UNVOUCHED',
    (proof) => ({
      ...proof,
      accusedEvents: proof.accusedEvents.map((bytes) => (bytes === announced ? announcementOf(toA, keyA) : bytes)),
    }),
  ],
  [
    'with the key introduced in the future',
    'PROOF_KEY_UNVOUCHED',
    (proof) => ({
      ...proof,
      accusedEvents: proof.accusedEvents.map((bytes) =>
        bytes === announced ? announcementOf(toB, keyA, { time: timeAt(NOW_MS + 3_600_000) }) : bytes,
      ),
    }),
  ],
  ['against another', 'PROOF_KEY_UNVOUCHED', (proof) => ({ ...proof, accused: domainB, audience: domainA })],
  ['against oneself', 'PROOF_MISPLACED', (proof) => ({ ...proof, audience: proof.accused })],
  ['of what is no envelope', 'PROOF_NOT_SIGNED', (proof) => ({ ...proof, statement: new Uint8Array(8) })],
];

function resigned(envelope: Uint8Array, key: Parameters<typeof seal>[1]): Uint8Array {
  const { payload, payloadType } = JSON.parse(Buffer.from(envelope).toString());
  const said = JSON.parse(Buffer.from(payload, 'base64').toString());
  return payloadType.includes('peer-message') ? message(said, key as typeof keyA) : seal(said, key);
}

describe.each(KINDS)('a forged proof of %s', (kind) => {
  it.each(ofEvery)('%s: %s', (_, code, forge) => {
    expect(verdictOf(forge(PROOFS[kind]))).toBe(code);
  });

  it('by a certificate that had ended', () => {
    const expired = { ...rules, validateChain: () => refuse('EXPIRED', 'expected a certificate of that time') };
    expect(judgeProof(PROOFS[kind], expired)).toMatchObject({
      ok: false,
      code: 'PROOF_KEY_UNVOUCHED',
      text: expect.stringContaining('EXPIRED'),
    });
  });
});

describe('what is no contradiction', () => {
  const but = (kind: Contradiction['kind'], changed: Partial<Proof>): string => verdictOf({ ...PROOFS[kind], ...changed });

  it.each<readonly [string, string, string]>([
    ['an event against itself', but('two-events', { statement: third }), 'PROOF_NO_CONTRADICTION'],
    ['two events at two positions', but('two-events', { accusedEvents: [announced, second] }), 'PROOF_NO_CONTRADICTION'],
    ['an event that follows the one before it', but('another-past', { statement: citing([]) }), 'PROOF_NO_CONTRADICTION'],
    ['an event without another', but('two-events', { accusedEvents: [announced] }), 'PROOF_INCOMPLETE'],
    [
      'what was said to another',
      but('two-events', { accusedEvents: [announced, seal(eventAt({ ...toB, audience: domainA }, 3, NOWHERE), keyA)] }),
      'PROOF_MISPLACED',
    ],
    [
      'what stands there by another’s hand',
      but('two-events', { accusedEvents: [announced, rival({}, stranger)], statement: third }),
      'PROOF_KEY_UNVOUCHED',
    ],
    ['a true head', but('false-head', { statement: headOf({ own: endOf(told) }) }), 'PROOF_NO_CONTRADICTION'],
    ['a head of nothing', but('false-head', { statement: headOf({}) }), 'PROOF_NO_CONTRADICTION'],
    [
      'another event of ours in its head: we may have told two',
      but('false-head', { statement: headOf({ received: { seq: seqOf(2), digest: NOWHERE } }) }),
      'PROOF_NO_CONTRADICTION',
    ],
    [
      'a head of what is not shown',
      but('false-head', { statement: headOf({ own: { seq: seqOf(9), digest: NOWHERE } }) }),
      'PROOF_INCOMPLETE',
    ],
    [
      'a head to another',
      but('false-head', { statement: headOf({ to: domainA, own: { seq: seqOf(3), digest: NOWHERE } }) }),
      'PROOF_MISPLACED',
    ],
    [
      'a question',
      but('false-head', {
        statement: message({ kind: 'ask', from: domainA, to: domainB, time: timeAt(NOW_MS), fromSeq: seqOf(1) }, keyA),
      }),
      'PROOF_NO_CONTRADICTION',
    ],
    ['a true checkpoint', but('false-checkpoint', { statement: checkpointOf(treeOf(told)) }), 'PROOF_NO_CONTRADICTION'],
    [
      'a checkpoint of more than is shown',
      but('false-checkpoint', { statement: checkpointOf(treeOf([...told, rival()])) }),
      'PROOF_INCOMPLETE',
    ],
    [
      'a checkpoint against a ledger with a hole',
      but('false-checkpoint', { accusedEvents: [announced, third] }),
      'PROOF_INCOMPLETE',
    ],
    [
      'a checkpoint against what the accuser put in',
      but('false-checkpoint', { statement: checkpointOf(treeOf(told)), accusedEvents: [announced, second, rival({}, stranger)] }),
      'PROOF_KEY_UNVOUCHED',
    ],
    ['known causes', but('unknown-cause', { statement: citing([endOf(answered).digest]) }), 'PROOF_NO_CONTRADICTION'],
    ['no causes', but('unknown-cause', { statement: citing([]) }), 'PROOF_NO_CONTRADICTION'],
    ['no ledger of the audience', but('unknown-cause', { audienceEvents: [] }), 'PROOF_INCOMPLETE'],
    ['the end of one only', but('unknown-cause', { audienceEvents: answered.slice(1) }), 'PROOF_INCOMPLETE'],
    [
      'one that others signed',
      but('unknown-cause', { audienceEvents: toldBy(toA, stranger, 0).concat(answered.slice(1)) }),
      'PROOF_INCOMPLETE',
    ],
    [
      'one that is cut below what the accused holds',
      but('unknown-cause', { audienceEvents: answered.slice(0, 2) }),
      'PROOF_LEDGER_DISPUTED',
    ],
    [
      'another than the accused holds',
      but('unknown-cause', { audienceEvents: toldBy(toA, keyB, 2, { epoch: 2 }) }),
      'PROOF_LEDGER_DISPUTED',
    ],
    [
      'an acknowledgement by another',
      but('unknown-cause', { acknowledgement: resigned(acknowledgement, stranger) }),
      'PROOF_KEY_UNVOUCHED',
    ],
    [
      'an acknowledgement that is none',
      but('unknown-cause', { acknowledgement: checkpointOf(treeOf(told)) }),
      'PROOF_UNACKNOWLEDGED',
    ],
  ])('%s', (_, got, expected) => {
    expect(got).toBe(expected);
  });

  it('an event of an honest CSP, against a ledger that its audience cut below what was cited', () => {
    const cut = { ...PROOFS['unknown-cause'], statement: citing([endOf(answered).digest]), audienceEvents: answered.slice(0, 2) };
    const { acknowledgement: _, ...unacknowledged } = cut;
    expect([verdictOf(unacknowledged), verdictOf(cut)]).toEqual(['PROOF_UNACKNOWLEDGED', 'PROOF_LEDGER_DISPUTED']);
  });
});

describe('by property', () => {
  const kinds = fc.constantFrom(...KINDS);

  it('a proof of which any bit was changed convinces nobody', () => {
    const pieces = (proof: Proof) => [proof.statement, ...proof.accusedEvents, ...proof.audienceEvents];
    fc.assert(
      fc.property(kinds, fc.nat(), fc.nat(), fc.integer({ min: 0, max: 7 }), (kind, which, where, bit) => {
        const proof = PROOFS[kind];
        const all = pieces(proof);
        const chosen = all[which % all.length];
        const changed = (bytes: Uint8Array): Uint8Array =>
          bytes === chosen ? bytes.map((byte, i) => (i === where % bytes.length ? byte ^ (1 << bit) : byte)) : bytes;
        const forged = {
          ...proof,
          statement: changed(proof.statement),
          accusedEvents: proof.accusedEvents.map(changed),
          audienceEvents: proof.audienceEvents.map(changed),
        };
        expect(judgeProof(forged, rules).ok).toBe(false);
      }),
      { numRuns: 200 },
    );
  });

  it('nothing that an honest CSP signs convicts it, whatever is shown beside it', () => {
    const ledger = toldBy(toB, keyA, 5, { causes: [endOf(answered).digest] });
    const prefix = fc.integer({ min: 1, max: ledger.length }).map((n) => ledger.slice(0, n));
    const statement = fc.oneof(
      fc.constantFrom(...ledger),
      prefix.map((said) => headOf({ own: endOf(said), received: endOf(answered) })),
      prefix.map((said) => checkpointOf(treeOf(said))),
    );
    const code = fc.constantFrom('LEDGER_FORK' as const, 'CAUSE_UNKNOWN' as const);
    const heads = prefix.map((said) => headOf({ own: endOf(said), received: endOf(answered) }));
    const shown = fc.record({
      statement,
      code,
      accusedEvents: fc.subarray([...ledger]),
      audienceEvents: fc.integer({ min: 0, max: answered.length }).map((n) => answered.slice(0, n)),
    });
    fc.assert(
      fc.property(shown, fc.option(heads), (proof, head) => {
        const acknowledged = head === null ? {} : { acknowledgement: head };
        expect(judgeProof({ accused: domainA, audience: domainB, ...proof, ...acknowledged }, rules).ok).toBe(false);
      }),
      { numRuns: 200 },
    );
  });
});

describe('the file', () => {
  const bytesOf = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));
  const file = proofFileOf(PROOFS['unknown-cause']);

  it.each(KINDS)('of %s comes back as it went', (kind) => {
    const read = readProof(bytesOf(proofFileOf(PROOFS[kind])));
    expect(read.ok && verdictOf(read.value)).toBe(kind);
  });

  it.each<readonly [string, Uint8Array]>([
    ['that was cut off', bytesOf(file).subarray(0, -20)],
    ['of another version', bytesOf({ ...file, v: 2 })],
    ['with a field more', bytesOf({ ...file, note: 'believe me' })],
    ['with a field twice', Buffer.from(JSON.stringify(file).replace('{', '{"v":1,'))],
    ['without its statement', bytesOf({ ...file, statement: undefined })],
    ['of what is no base64', bytesOf({ ...file, statement: 'ä' })],
    ['of too many events', bytesOf({ ...file, audienceEvents: Array(PROOF_EVENTS_MAX + 1).fill('') })],
    ['that is none', bytesOf({ carnet: 'ledger-export' })],
  ])('%s is malformed', (_, bytes) => {
    expect(readProof(bytes)).toMatchObject({ ok: false, code: 'PROOF_MALFORMED' });
  });

  it('is bounded before it is parsed', () => {
    expect(readProof(new Uint8Array(PROOF_BYTES_MAX + 1))).toMatchObject({ ok: false, code: 'PROOF_TOO_LARGE' });
  });

  it('with an envelope that is too large proves nothing', () => {
    const large = seal(eventAt(toB, 3, someDigest(3), { pad: 'x'.repeat(70_000) }), keyA);
    expect(verdictOf({ ...PROOFS['two-events'], statement: large })).toBe('PROOF_NOT_SIGNED');
  });
});
