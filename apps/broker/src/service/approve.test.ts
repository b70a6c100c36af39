import { dsseEnvelope, type IntentRequest, intentRequest, migrationId, PAYLOAD_TYPES, uuidv7 } from '@carnet/events';
import { leafSigner } from '@carnet/pki';
import { signEnvelope } from '@carnet/trust';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { A, B, type Credentials, createDoorsWorld, type DoorsWorld, leafOf, NOW_MS } from '../http/testing/doors-world.ts';
import { memoryIntake, signedBy } from '../http/testing/memory-intake.ts';
import { type Approval, approve } from './approve.ts';
import { type IntakePorts, intend, openSignedRequest } from './intake.ts';
import { contentDigest } from './request-content.ts';

let world: DoorsWorld;
let scheduler: Credentials;
let operator: Credentials;
let foreigner: Credentials;
let intake: IntakePorts;

beforeAll(async () => {
  world = await createDoorsWorld();
  scheduler = await world.certificateOf(A, 'scheduler');
  operator = await world.certificateOf(A, 'operator');
  foreigner = await world.certificateOf(B, 'operator');
}, 60_000);
afterAll(() => world.close());
beforeEach(() => {
  intake = memoryIntake(world);
});

/** A VM that needs two persons. */
const VM = `${A}/00000000-0000-4000-8000-000000000008`;
const ID = migrationId.parse(uuidv7(NOW_MS, new Uint8Array(10)));
const REQUEST = intentRequest.parse({ migration: ID, vm: VM, target: B, mode: 'cold' });

/** A statement about a request in its giver's own signature. */
function approvalBy(
  { cert = '', key = '' }: Credentials,
  request: IntentRequest,
  type = PAYLOAD_TYPES.approval as string,
): Approval {
  const leaf = leafOf(cert);
  const said = JSON.stringify({ approves: 'migration', request: contentDigest(request) });
  const envelope = JSON.parse(
    Buffer.from(signEnvelope(PAYLOAD_TYPES.approval, Buffer.from(said), leafSigner(key, leaf))).toString(),
  );
  return {
    via: 'signature',
    envelope: dsseEnvelope.parse({ ...envelope, payloadType: type }),
    certificate: Buffer.from(leaf).toString('base64'),
  };
}

async function ask(by = scheduler, request = REQUEST) {
  const { envelope, certificate } = signedBy(by, request);
  const opened = openSignedRequest(intake, envelope, certificate);
  return opened.ok
    ? intend(intake, opened.value.request, opened.value.record, { kind: 'certificate', leaf: certificate })
    : opened;
}
const again = async () => {
  const waiting = await intake.waiting.get(ID);
  if (waiting === undefined) throw new Error('nothing waits');
  return intend(intake, waiting.request, waiting.record, waiting.shown);
};
const ledger = async () => (await intake.ledgers.journeys(REQUEST.vm)).flatMap(({ migrations }) => migrations);

describe('a request that needs a second person', () => {
  it('waits, and no ledger hears of it', async () => {
    expect(await ask()).toMatchObject({ ok: false, code: 'APPROVAL_NEEDED' });
    expect([await ledger(), await intake.waiting.all()]).toMatchObject([[], [{ request: REQUEST, approvals: [] }]]);
  });

  it('is taken when another one has signed for it, and the intent carries that signature', async () => {
    await ask();
    const approval = approvalBy(operator, REQUEST);
    expect(await approve(intake, ID, approval)).toMatchObject({ ok: true });
    expect(await again()).toMatchObject({ ok: true, value: { migration: ID, repeated: false } });
    const [m] = await ledger();
    expect(m?.facts.MigrationIntended?.data).toMatchObject({
      approvals: [{ ...approval, principal: `spiffe://${A}/operator` }],
      policy: { allowed: true, asked: { principal: `spiffe://${A}/scheduler`, approvers: [`spiffe://${A}/operator`] } },
    });
    expect(await intake.waiting.all()).toEqual([]);
  });

  it('is taken when another one said yes at the door', async () => {
    await ask();
    expect(await approve(intake, ID, { via: 'token', principal: 'operator' })).toMatchObject({ ok: true });
    expect(await again()).toMatchObject({ ok: true });
  });

  it.each<readonly [string, () => Approval, string, string | undefined]>([
    [
      'who asked for it, at the door',
      () => ({ via: 'mtls', principal: `spiffe://${A}/operator` }),
      'APPROVAL_REFUSED',
      'SELF_APPROVAL',
    ],
    ['who asked for it, by signature', () => approvalBy(operator, REQUEST), 'APPROVAL_REFUSED', 'SELF_APPROVAL'],
    [
      'who asked for it, under another name',
      () => ({ via: 'mtls', principal: `spiffe://${A}/duty/operator` }),
      'APPROVAL_REFUSED',
      'SELF_APPROVAL',
    ],
    ['an API key', () => ({ via: 'token', principal: 'api-key/boss' }), 'APPROVAL_REFUSED', 'APPROVER_NO_PERSON'],
    ['a scheduler, who may not', () => approvalBy(scheduler, REQUEST), 'APPROVAL_REFUSED', 'NOT_PERMITTED'],
    [
      'somebody nobody knows',
      () => ({ via: 'token', principal: 'admin" in Role::"operator' }),
      'APPROVAL_REFUSED',
      'NOT_PERMITTED',
    ],
    ['an operator of the peer', () => approvalBy(foreigner, REQUEST), 'SIGNATURE_REFUSED', undefined],
    [
      'a signature over another request',
      () => approvalBy(scheduler, { ...REQUEST, mode: 'suspend' }),
      'SIGNATURE_REFUSED',
      undefined,
    ],
    [
      'a signed request instead of an approval',
      () => approvalBy(scheduler, REQUEST, PAYLOAD_TYPES.request),
      'SIGNATURE_REFUSED',
      undefined,
    ],
  ])('is not approved by %s', async (_, approval, code, reason) => {
    await ask(operator);
    const before = await intake.waiting.all();
    const refused = await approve(intake, ID, approval());
    expect(refused).toMatchObject({ ok: false, code, ...(reason === undefined ? {} : { reasons: [{ code: reason }] }) });
    expect([await intake.waiting.all(), await ledger()]).toEqual([before, []]);
  });

  it('does not take over the approval of another content under the same id', async () => {
    await ask();
    await approve(intake, ID, approvalBy(operator, REQUEST));
    expect(await ask(scheduler, { ...REQUEST, mode: 'suspend' })).toMatchObject({ ok: false, code: 'MIGRATION_ID_TAKEN' });
    expect(await ledger()).toEqual([]);
  });

  it('is not approved once what it was asked with is no longer good', async () => {
    await ask();
    const before = await intake.waiting.all();
    const seen: unknown[] = [];
    const isStillGood: IntakePorts['isStillGood'] = async (...about) => {
      seen.push(about);
      return false;
    };
    expect(await approve({ ...intake, isStillGood }, ID, approvalBy(operator, REQUEST))).toMatchObject({
      code: 'REQUEST_LAPSED',
    });
    expect([await intake.waiting.all(), await ledger()]).toEqual([before, []]);
    const leaf = Buffer.from(leafOf(scheduler.cert ?? '')).toString('base64');
    expect(seen).toEqual([[`spiffe://${A}/scheduler`, { kind: 'certificate', leaf }]]);
  });

  it('that was taken meanwhile needs no approval', async () => {
    await ask();
    const gone = { ...intake.waiting, approve: async () => false };
    const late = await approve({ ...intake, waiting: gone }, ID, approvalBy(operator, REQUEST));
    expect(late).toMatchObject({ ok: false, code: 'APPROVAL_UNKNOWN' });
  });

  it('that nobody asked cannot be approved', async () => {
    expect(await approve(intake, ID, approvalBy(operator, REQUEST))).toMatchObject({ ok: false, code: 'APPROVAL_UNKNOWN' });
  });
});

describe('a denial', () => {
  const vm = (end: number) => intentRequest.parse({ ...REQUEST, vm: `${A}/00000000-0000-4000-8000-00000000000${end}` });
  it('names another target that the same policies would allow', async () => {
    expect(await ask(scheduler, vm(7))).toMatchObject({
      code: 'POLICY_DENIES',
      reasons: [{ code: 'LEVEL_TOO_LOW' }, { code: 'ALTERNATIVE', text: expect.stringContaining('csp-c.example') }],
    });
  });
  it('names none where there is none, and nothing waits', async () => {
    expect(await ask(scheduler, vm(6))).toMatchObject({ code: 'POLICY_DENIES', reasons: [{ code: 'LEGAL_HOLD' }] });
    expect(await intake.waiting.all()).toEqual([]);
  });
});
