import { CLOCK_SKEW_MS_MAX, EVENT_BYTES_MAX } from '@carnet/events';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sha256Hex as keyIdOf, seqOf } from './bytes.ts';
import { refuse } from './refusal.ts';
import {
  announcement,
  append,
  contextOf,
  draft,
  emptyLedger,
  keyOf,
  ledgerOf,
  NOW_MS,
  offer,
  type Payload,
  refusedDraft,
  seal,
  sealText,
  someDigest,
  subjectOf,
  timeAt,
  verdictOf,
} from './testing/ledger.ts';

const key = keyOf(0);
const stranger = keyOf(7);
const ledger = ledgerOf(2);
const next = refusedDraft(ledger);
const good = seal(next, key);
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytes = (s: string) => new TextEncoder().encode(s);
const withField = (name: string, value: unknown): Uint8Array => seal({ ...next, [name]: value }, key);

describe('admit', () => {
  it('places the next event and moves the head', () => {
    const admission = offer(ledger, good, { subject: subjectOf(next) });
    expect(admission).toMatchObject({ kind: 'placed', payload: { seq: '4' }, event: { type: 'MigrationRefused' } });
    const after = append(ledger, good);
    expect(after.state.head?.seq).toBe('4');
    expect(JSON.parse(JSON.stringify(after.state))).toEqual(after.state);
  });

  it.each<[string, Uint8Array, string]>([
    ['size', new Uint8Array(EVENT_BYTES_MAX + 1), 'ENVELOPE_TOO_LARGE'],
    ['envelope: no JSON', bytes('nonsense'), 'ENVELOPE_MALFORMED'],
    ['envelope: a field more', bytes(text(good).replace('{"payloadType"', '{"x":1,"payloadType"')), 'ENVELOPE_MALFORMED'],
    ['envelope: a key twice', bytes(text(good).replace('{', '{"payload":"AAAA",')), 'ENVELOPE_MALFORMED'],
    [
      'envelope: a second signature',
      bytes(text(good).replace(/\}\]\}$/, '},{"keyid":"x","sig":"AAAA"}]}')),
      'ENVELOPE_MALFORMED',
    ],
    ['spelling: a space', bytes(text(good).replace('{', '{ ')), 'ENVELOPE_NOT_CANONICAL'],
    [
      'spelling: another order',
      bytes(JSON.stringify(Object.fromEntries(Object.entries(JSON.parse(text(good))).reverse()))),
      'ENVELOPE_NOT_CANONICAL',
    ],
    ['payload type', sealText(JSON.stringify(next), key, 'application/vnd.carnet.evidence.v1+json'), 'PAYLOAD_TYPE_UNEXPECTED'],
    [
      'signature',
      bytes(text(good).replace(/"sig":"./, (m) => `${m.slice(0, -1)}${m.endsWith('A') ? 'B' : 'A'}`)),
      'SIGNATURE_INVALID',
    ],
    ['signature of another key under a known name', seal(next, { ...stranger, keyid: key.keyid }), 'SIGNATURE_INVALID'],
    ['key', seal(next, stranger), 'KEY_NOT_ANNOUNCED'],
    ['JSON: a key twice', sealText(JSON.stringify(next).replace('{', '{"v":1,'), key), 'JSON_DUPLICATE_KEY'],
    ['JSON: a float', sealText(JSON.stringify(next).replace('"v":1', '"v":1.0'), key), 'JSON_NUMBER'],
    ['JSON: __proto__', sealText(JSON.stringify(next).replace('{', '{"__proto__":{},'), key), 'JSON_PROTO'],
    ['JSON: syntax', sealText('{"v":1', key), 'JSON_SYNTAX'],
    ['publisher', withField('publisher', 'csp-c.example'), 'PUBLISHER_MISMATCH'],
    ['audience', withField('audience', 'csp-c.example'), 'AUDIENCE_MISMATCH'],
    ['version', withField('v', 2), 'PLACEMENT_INVALID'],
    ['no object', sealText('[]', key), 'PLACEMENT_INVALID'],
    ['a later position', withField('seq', '5'), 'gap'],
    ['a held position', withField('seq', '2'), 'fork'],
    ['another predecessor', withField('prev', someDigest(3)), 'fork'],
    ['an unknown cause', withField('causes', [someDigest(200), someDigest(201)]), 'unknown-cause'],
    ['a known cause', withField('causes', [someDigest(200)]), 'placed'],
    ['what is held already', ledger.envelopes[1] ?? new Uint8Array(), 'repeat'],
    ['an unknown type', withField('type', 'MigrationTeleported'), 'TYPE_UNKNOWN'],
    ['a type that objects inherit', withField('type', 'constructor'), 'TYPE_UNKNOWN'],
    ['an unknown field', withField('note', 'x'), 'SCHEMA_INVALID'],
    ['wrong data', withField('data', {}), 'SCHEMA_INVALID'],
  ])('%s', (_, envelope, verdict) => {
    expect(verdictOf(offer(ledger, envelope))).toBe(verdict);
  });

  it('compares the subject that it came on', () => {
    expect(verdictOf(offer(ledger, good, { subject: 'fed.csp_c_example.csp_b_example.migration.-' }))).toBe('SUBJECT_MISMATCH');
  });

  it('refuses an id that was used before, and calls a fork a fork though its id was used', () => {
    const used = JSON.parse(Buffer.from(JSON.parse(text(ledger.envelopes[1] ?? new Uint8Array())).payload, 'base64').toString());
    expect(verdictOf(offer(ledger, withField('id', used.id)))).toBe('ID_REUSED');
    expect(verdictOf(offer(ledger, seal({ ...used, time: timeAt(NOW_MS + 1) }, key)))).toBe('fork');
  });

  it('gives both digests of a fork, as proof', () => {
    const { head } = ledger.state;
    expect(offer(ledger, withField('prev', someDigest(3)))).toEqual({
      kind: 'fork',
      seq: head?.seq,
      held: head?.digest,
      got: someDigest(3),
    });
  });

  it('goes on after a void event', () => {
    const after = append(ledger, withField('type', 'MigrationTeleported'));
    expect(verdictOf(offer(after, seal(refusedDraft(after), key)))).toBe('placed');
  });

  it('does not verify again what a signed head covers, and checks all the rest', () => {
    const unsigned = seal(next, { ...stranger, keyid: key.keyid });
    expect(verdictOf(offer(ledger, unsigned, { coveredByHead: () => true }))).toBe('placed');
    expect(verdictOf(offer(ledger, seal(next, stranger), { coveredByHead: () => true }))).toBe('KEY_NOT_ANNOUNCED');
    expect(verdictOf(offer(ledger, withField('publisher', 'csp-c.example'), { coveredByHead: () => true }))).toBe(
      'PUBLISHER_MISMATCH',
    );
  });
});

describe('any damage', () => {
  const expected: Readonly<Record<string, readonly string[]>> = {
    id: ['PLACEMENT_INVALID'],
    v: ['PLACEMENT_INVALID'],
    publisher: ['PLACEMENT_INVALID', 'PUBLISHER_MISMATCH'],
    audience: ['PLACEMENT_INVALID', 'AUDIENCE_MISMATCH'],
    seq: ['PLACEMENT_INVALID', 'gap', 'fork'],
    prev: ['PLACEMENT_INVALID', 'fork'],
    causes: ['PLACEMENT_INVALID', 'unknown-cause'],
    time: ['PLACEMENT_INVALID'],
    type: ['PLACEMENT_INVALID', 'TYPE_UNKNOWN', 'SCHEMA_INVALID'],
    migration: ['PLACEMENT_INVALID', 'SCHEMA_INVALID'],
    epoch: ['PLACEMENT_INVALID', 'SCHEMA_INVALID'],
    data: ['SCHEMA_INVALID'],
  };
  const junk = fc.oneof(
    fc.string(),
    fc.maxSafeInteger(),
    fc.constant(null),
    fc.boolean(),
    fc.array(fc.string()),
    fc.constant({ a: 1 }),
  );

  it('to one signed field is seen by the check of that field', () => {
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(expected)), junk, (field, value) => {
        fc.pre(
          value !== next[field] &&
            !(field === 'causes' && Array.isArray(value) && value.length === 0) &&
            !(typeof value === 'number' && (field === 'epoch' || field === 'v')),
        );
        expect(expected[field]).toContain(verdictOf(offer(ledger, withField(field, value === 0 ? 0 : value))));
      }),
      { numRuns: 300 },
    );
  });

  it('to one missing field, too', () => {
    for (const field of Object.keys(expected)) {
      const { [field]: _dropped, ...rest }: Payload = next;
      expect(expected[field]).toContain(verdictOf(offer(ledger, seal(rest, key))));
    }
  });

  it('to one byte of the envelope is refused', () => {
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const damaged = good.map((byte, i) => (i === at ? byte ^ flip : byte));
        expect(offer(ledger, damaged).kind).toBe('refused');
      }),
      { numRuns: 500 },
    );
  });
});

describe('the first event', () => {
  const first = (changed: Payload = {}, fields: Payload = {}) => announcement(emptyLedger, key, changed, fields);

  it.each<[string, Uint8Array, string]>([
    ['introduces its own key', seal(first(), key), 'placed'],
    ['is an announcement', seal(refusedDraft(emptyLedger), key), 'KEY_NOT_ANNOUNCED'],
    ['is signed by the key that it announces', seal(first(), stranger), 'KEY_NOT_ANNOUNCED'],
    ['bears a valid signature', seal(first(), { ...stranger, keyid: key.keyid }), 'SIGNATURE_INVALID'],
    [
      'names a key by its SHA-256',
      seal(first({ publicKey: Buffer.from(stranger.publicKey).toString('base64') }), key),
      'KEY_INVALID',
    ],
    ['says what the X.509 identity signed', seal(first({ notBefore: timeAt(NOW_MS - 5_000) }), key), 'KEY_STATEMENT_FORGED'],
    ['is not dated ahead', seal(first({}, { time: timeAt(NOW_MS + CLOCK_SKEW_MS_MAX + 1) }), key), 'KEY_ANNOUNCED_AHEAD'],
    ['is not dated before the key', seal(first({}, { time: timeAt(NOW_MS - 1_001) }), key), 'KEY_NOT_YET_VALID'],
    ['follows the genesis digest', seal(first({}, { prev: someDigest(9) }), key), 'GENESIS_EXPECTED'],
    ['has position 1', seal(first({}, { seq: '2' }), key), 'gap'],
    ['comes from the publisher', seal(first({}, { publisher: 'csp-b.example' }), key), 'PUBLISHER_MISMATCH'],
  ])('%s', (_, envelope, verdict) => {
    expect(verdictOf(offer(emptyLedger, envelope))).toBe(verdict);
  });

  it('has a valid certificate path, and names the check that failed', () => {
    const validateChain = () => refuse('CRL_STALE', 'expected a fresh CRL');
    expect(offer(emptyLedger, seal(first(), key), { validateChain })).toMatchObject({
      code: 'CERTIFICATE_PATH_REFUSED',
      text: 'CRL_STALE: expected a fresh CRL',
    });
  });

  it('cannot announce a point of small order, under which any signature verifies somewhere', () => {
    const weak = { ...stranger, publicKey: Uint8Array.of(1, ...new Uint8Array(31)) };
    const named = { ...weak, keyid: keyIdOf(weak.publicKey) };
    expect(verdictOf(offer(emptyLedger, seal(announcement(emptyLedger, named), named)))).toBe('KEY_INVALID');
  });

  it('is a repeat when it comes again, though its certificate has expired since', () => {
    const validateChain = () => refuse('EXPIRED', 'expected a certificate that has not ended');
    expect(verdictOf(offer(ledger, ledger.envelopes[0] ?? new Uint8Array(), { validateChain }))).toBe('repeat');
  });
});

it('an impossible context is a bug, not a verdict', () => {
  expect(() => offer(ledger, withField('seq', '2'), { digestAt: () => undefined })).toThrow('impossible');
  expect(contextOf(ledger).digestAt(seqOf(9))).toBeUndefined();
  expect(draft(ledger, 'KeyRevoked', {})).not.toHaveProperty('migration');
});
