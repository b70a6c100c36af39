import { createECDH, generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  artifactId,
  dsseEnvelope,
  type EscrowId,
  recoveryId,
  spiffeId,
  type Timestamp,
  timestamp,
  trustDomain,
  uuidv7,
} from '@carnet/events';
import { ed25519Signer, ed25519Verifier } from '@carnet/trust';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { toBase64 } from '../bytes.ts';
import { createHostKeyPair, openForHost } from '../hosts.ts';
import { declareRootLost, openKeyManager } from '../open.ts';
import type { KeyRecord } from '../records/holding.ts';
import { onKeys } from '../records/tables.ts';
import { createRootFile } from '../root-file.ts';
import { inlineProcess, must, newVm, openSide, record, type Side, TENANT, within } from '../testing/two-sides.ts';
import { type CustodianFile, createCustodianFile, giveOwnShare, proveOwnShare } from './custodian.ts';
import type { Escrow } from './escrows.ts';
import type { Escrows } from './open.ts';
import type { EscrowContext } from './ports.ts';
import type { Recovery } from './recoveries.ts';
import { request, type Said, signStatement } from './statements.ts';
import { onEscrow } from './tables.ts';

const COST = 16_384;
const PASSPHRASE = Buffer.from('correct horse battery staple');
const START = Date.parse('2026-11-23T10:00:00.000Z');
const clock = { ms: START };
const now = (): Timestamp => timestamp.parse(new Date(clock.ms).toISOString());
const inOneHour = (): Timestamp => timestamp.parse(new Date(clock.ms + 3_600_000).toISOString());
const newId = () => uuidv7(clock.ms, randomBytes(10));

/** A person with a certificate; `certificate` stands for the leaf. */
function person(id: string) {
  const signer = ed25519Signer(generateKeyPairSync('ed25519').privateKey);
  return { id: spiffeId.parse(`spiffe://csp-a.example/${id}`), signer, certificate: toBase64(randomBytes(24)) };
}
type Person = ReturnType<typeof person>;
const people = [
  'operator/olga',
  'operator/omar',
  'operator/anna',
  'custodian/anna',
  'custodian/ben',
  'custodian/cleo',
  'custodian/dora',
].map(person);
const who = (id: string): Person => people.find((one) => one.id.endsWith(id)) ?? person(id);
const [olga, anna, ben, cleo, dora] = [
  'operator/olga',
  'custodian/anna',
  'custodian/ben',
  'custodian/cleo',
  'custodian/dora',
].map(who) as [Person, Person, Person, Person, Person];
const OMAR = 'spiffe://csp-a.example/operator/omar';

/** Whose certificate is valid no more. */
const revoked = new Set<string>();
const identify: EscrowContext['identify'] = (certificate) => {
  const one = people.find((each) => each.certificate === certificate);
  return one === undefined || revoked.has(one.id)
    ? undefined
    : { spiffeId: one.id, leafDigest: one.signer.keyid, verifier: ed25519Verifier(one.signer.publicKey) };
};
const say = (by: Person, statement: object, as: Person = by): Said => ({
  envelope: dsseEnvelope.parse(JSON.parse(signStatement(statement, by.signer))),
  certificate: as.certificate,
});

const held: { here: Awaited<ReturnType<EscrowContext['isHolder']>> } = { here: true };
/** The least quorum that the agreement of a VM from elsewhere allows. */
const agreed = { least: 2 };
const dismissed = new Set<string>();
const csp = ed25519Signer(generateKeyPairSync('ed25519').privateKey);
const context: EscrowContext = {
  csp: trustDomain.parse('csp-a.example'),
  signer: () => csp,
  identify,
  peers: () => [trustDomain.parse('csp-b.example'), trustDomain.parse('csp-c.example')],
  may: (who, duty) => !dismissed.has(who) && (duty === 'ask' || who.includes('/custodian/')),
  isHolder: async () => held.here,
  notAgreed: async (_, { threshold }) => (threshold < agreed.least ? 'the agreement wants more' : undefined),
};

let side: Side;
let escrows: Escrows;
const files = new Map<string, CustodianFile>();

const newKey = async (over: { readonly kind?: 'disk' | 'memory'; readonly vm?: 'none' } = {}) => {
  const kind = over.kind ?? 'disk';
  return must(
    await record(
      side,
      await side.keys.createDek({
        tenant: TENANT,
        ...(over.vm === 'none' ? {} : { vm: newVm() }),
        artifact: artifactId.parse(randomUUID()),
        kind,
        derivation: kind === 'disk' ? 'luks-passphrase-hex' : 'aes-256-gcm-stream',
        capacityBytes: 1_073_741_824,
        reason: 'test',
      }),
    ),
  );
};
const dealt = async (over: Partial<Parameters<Escrows['create']>[0]> = {}): Promise<Escrow> => {
  const key = over.key ?? (await newKey()).key;
  const custodians = [anna, ben, cleo].map(({ id }) => id);
  return must(await escrows.create({ key, version: 1, threshold: 2, custodians, by: OMAR, reason: 'test', ...over }));
};
const askOf = (escrow: Escrow, over: object = {}) => ({
  kind: 'recovery-ask',
  recovery: recoveryId.parse(newId()),
  escrow: escrow.escrow,
  manifest: escrow.digest,
  asker: olga.id,
  reason: 'the root is lost',
  notAfter: inOneHour(),
  at: now(),
  ...over,
});
const asked = async (escrow: Escrow): Promise<Recovery> => must(await escrows.ask(say(olga, askOf(escrow))));
const ownOf = (by: Person, escrow: Escrow) => {
  const seat = escrow.manifest.terms.seats.findIndex(({ custodian }) => custodian === by.id);
  const [file, sealed] = [files.get(by.id), escrow.shares[seat]];
  if (file === undefined || sealed === undefined) throw new Error('no share');
  return { file, passphrase: PASSPHRASE, manifest: escrow.manifest, sealed };
};
const shareOf = async (by: Person, escrow: Escrow, recovery: Recovery) =>
  must(await giveOwnShare(ownOf(by, escrow), { publicKey: recovery.request.publicKey, request: recovery.digest }));
const approvalOf = async (by: Person, escrow: Escrow, recovery: Recovery, over: object = {}) => ({
  kind: 'recovery-approval',
  recovery: recovery.recovery,
  request: recovery.digest,
  custodian: by.id,
  reason: 'spoken to Olga',
  share: await shareOf(by, escrow, recovery),
  at: now(),
  ...over,
});
const approved = async (by: Person, escrow: Escrow, recovery: Recovery): Promise<Recovery> =>
  must(await escrows.approve(say(by, await approvalOf(by, escrow, recovery))));
const proofOf = async (by: Person, escrow: Escrow, view: Awaited<ReturnType<typeof opened>>, over: object = {}) => ({
  kind: 'proof',
  drill: view.drill.drill,
  asked: view.digest,
  custodian: by.id,
  proof: must(await proveOwnShare(ownOf(by, escrow), view.drill)),
  at: now(),
  ...over,
});
const opened = async (escrow: { readonly escrow: EscrowId }) =>
  must(await escrows.openDrill({ escrow: escrow.escrow, by: OMAR, reason: 'quarterly', notAfter: inOneHour() }));

/** The key in the clear, as a host gets it. */
async function atHost(keys: Side['keys'], { key, vm }: KeyRecord) {
  if (vm === undefined) throw new Error('no VM');
  const host = await createHostKeyPair();
  const to = { domain: context.csp, host: 'a1', vm, epoch: 0, purpose: 'run' } as const;
  const sealed = await keys.sealForHost({
    context: to,
    keys: [{ key, version: 1 }],
    publicKey: host.publicKey,
    grant: { principal: OMAR, reason: 'VM_START' },
  });
  if (!sealed.ok) return sealed;
  const open = must(await openForHost(host.privateKey, to, sealed.value));
  return { ok: true as const, value: Buffer.from(open[0]?.dek ?? []) };
}

/** All rows of escrows, and of keys. */
async function rows(): Promise<string> {
  const db = onEscrow(side.store.db);
  const tables = [
    'keys_custodians',
    'keys_escrows',
    'keys_escrow_drills',
    'keys_escrow_proofs',
    'keys_recoveries',
    'keys_recovery_approvals',
    'keys_escrow_news',
  ] as const;
  const all: string[] = [];
  for (const table of tables)
    all.push(...(await db.selectFrom(table).selectAll().execute()).map((row) => JSON.stringify(row)).sort());
  const keys = onKeys(side.store.db);
  all.push(...(await keys.selectFrom('keys_holdings').selectAll().execute()).map((row) => JSON.stringify(row)).sort());
  return all.join('\n');
}
/** Refused with this code, and nothing was changed nor is owed to a peer. */
async function refused(step: () => Promise<unknown>, code: string): Promise<void> {
  const before = await rows();
  expect(await step()).toMatchObject({ ok: false, code });
  expect(await rows()).toBe(before);
}

beforeAll(async () => {
  side = await openSide({ process: inlineProcess(), now });
  escrows = side.keys.escrows(context);
  for (const one of [anna, ben, cleo, dora]) {
    const file = await createCustodianFile(one.id, PASSPHRASE, randomBytes, COST);
    files.set(one.id, file);
    must(await escrows.enroll(say(one, { kind: 'sealing-key', custodian: one.id, publicKey: file.publicKey, at: now() })));
  }
}, 180_000);
afterAll(() => side?.close());

describe('an escrow', () => {
  it('is dealt, signed, and owed to every peer with the digests of its shares', async () => {
    const { key } = await newKey();
    const escrow = await dealt({ key });
    expect(escrow).toMatchObject({ state: 'current', manifest: { terms: { key, threshold: 2 } } });
    const owed = (await escrows.owedNews()).filter(({ data }) => data.escrow === escrow.escrow);
    expect(owed.map(({ peer, type }) => [peer, type])).toEqual([
      ['csp-b.example', 'KeyEscrowed'],
      ['csp-c.example', 'KeyEscrowed'],
    ]);
    expect(owed[0]?.data).toMatchObject({
      shares: escrow.manifest.shares.map((share, i) => ({ ...share, custodian: escrow.manifest.terms.seats[i]?.custodian })),
      statement: escrow.digest,
    });
    const [first] = owed;
    if (first === undefined) throw new Error('nothing owed');
    const told = () => within(side, async (tx) => ({ ok: true as const, value: await escrows.tellOnce(tx, first) }));
    expect([must(await told()), must(await told())]).toEqual([true, false]);
  });

  it('dealt anew ends the one before', async () => {
    const { key } = await newKey();
    const first = await dealt({ key });
    const second = await dealt({ key, custodians: [ben.id, cleo.id, dora.id] });
    expect((await escrows.list({ key })).map(({ escrow, state }) => [escrow, state])).toEqual([
      [second.escrow, 'current'],
      [first.escrow, 'superseded'],
    ]);
    await refused(
      () => escrows.openDrill({ escrow: first.escrow, by: OMAR, reason: 'x', notAfter: inOneHour() }),
      'ESCROW_SUPERSEDED',
    );
    await refused(() => escrows.ask(say(olga, askOf(first))), 'ESCROW_SUPERSEDED');
  });

  it.each<[string, () => Promise<Partial<Parameters<Escrows['create']>[0]>>, string]>([
    ['M = 1', async () => ({ threshold: 1 }), 'ESCROW_TERMS_INVALID'],
    ['M above N', async () => ({ threshold: 4 }), 'ESCROW_TERMS_INVALID'],
    ['one custodian twice', async () => ({ custodians: [anna.id, anna.id] }), 'ESCROW_TERMS_INVALID'],
    ['a custodian who has no key', async () => ({ custodians: [anna.id, `${ben.id}x`] }), 'CUSTODIAN_UNKNOWN'],
    ['a memory key', async () => ({ key: (await newKey({ kind: 'memory' })).key }), 'ESCROW_KEY_UNFIT'],
    ['a key of no VM', async () => ({ key: (await newKey({ vm: 'none' })).key }), 'ESCROW_KEY_UNFIT'],
  ])('is refused: %s', async (_name, over, code) => {
    const { key } = await newKey();
    const wanted = { key, version: 1, threshold: 2, custodians: [anna, ben].map(({ id }) => id), by: OMAR, reason: 'test' };
    const changed = await over();
    await refused(() => escrows.create({ ...wanted, ...changed }), code);
  });

  it('is refused where the agreement with the CSP that the VM came from wants more', async () => {
    const { key } = await newKey();
    const wanted = { key, version: 1, custodians: [anna, ben, cleo].map(({ id }) => id), by: OMAR, reason: 'test' };
    agreed.least = 3;
    await refused(() => escrows.create({ ...wanted, threshold: 2 }), 'ESCROW_NOT_AGREED');
    expect(await escrows.create({ ...wanted, threshold: 3 })).toMatchObject({ ok: true });
    agreed.least = 2;
  });

  it('a sealing key counts on its own custodian’s word only', async () => {
    const { publicKey = '' } = files.get(ben.id) ?? {};
    const statement = { kind: 'sealing-key', custodian: anna.id, publicKey, at: now() };
    await refused(() => escrows.enroll(say(ben, statement)), 'CUSTODIAN_REFUSED');
    await refused(() => escrows.enroll(say(ben, statement, anna)), 'CUSTODIAN_REFUSED');
    await refused(() => escrows.enroll({ ...say(anna, statement), certificate: 'AAAA' }), 'CUSTODIAN_REFUSED');
    await refused(() => escrows.enroll(say(anna, { ...statement, kind: 'proof' })), 'STATEMENT_INVALID');
  });

  it('an old enrolment said again puts no old sealing key in place, nor does one of the future', async () => {
    const dave = person('custodian/dave');
    people.push(dave);
    const enrolment = async (msAhead: number) => {
      const { publicKey } = await createCustodianFile(dave.id, PASSPHRASE, randomBytes, COST);
      const at = new Date(clock.ms + msAhead).toISOString();
      return { said: say(dave, { kind: 'sealing-key', custodian: dave.id, publicKey, at }), publicKey };
    };
    const keyNow = async () => (await escrows.custodians()).find(({ custodian }) => custodian === dave.id)?.publicKey;
    const old = await enrolment(-60_000);
    const newer = await enrolment(0);
    must(await escrows.enroll(old.said));
    must(await escrows.enroll(newer.said));
    const before = await rows();
    must(await escrows.enroll(newer.said));
    expect(await rows()).toBe(before);
    await refused(() => escrows.enroll(old.said), 'ENROLMENT_OLD');
    const same = await enrolment(0);
    await refused(() => escrows.enroll(same.said), 'ENROLMENT_OLD');
    const ahead = await enrolment(300_001);
    await refused(() => escrows.enroll(ahead.said), 'ENROLMENT_AHEAD');
    expect(await keyNow()).toBe(newer.publicKey);
    const slow = await enrolment(300_000);
    must(await escrows.enroll(slow.said));
    expect(await keyNow()).toBe(slow.publicKey);
  });

  it('a key of another KEM is no sealing key', async () => {
    const p256 = toBase64(createECDH('prime256v1').generateKeys());
    const statement = { kind: 'sealing-key', custodian: anna.id, publicKey: p256, at: now() };
    await refused(() => escrows.enroll(say(anna, statement)), 'STATEMENT_INVALID');
    const parsed = request.safeParse({ kind: 'recovery-request', ask: 'a'.repeat(64), said: askOf(await dealt()), at: now() });
    expect(parsed.error?.issues.map(({ path }) => path.join('.'))).toEqual(['publicKey']);
    const hybrid = files.get(anna.id)?.publicKey;
    for (const [publicKey, success] of [
      [p256, false],
      [hybrid, true],
    ])
      expect(
        request.safeParse({ kind: 'recovery-request', ask: 'a'.repeat(64), said: askOf(await dealt()), publicKey, at: now() })
          .success,
      ).toBe(success);
  });
});

describe('a drill', () => {
  it('names who has proven possession and who has not, in every ledger, and the key is put together nowhere', async () => {
    const escrow = await dealt();
    const view = await opened(escrow);
    must(await escrows.prove(say(anna, await proofOf(anna, escrow, view))));
    const again = must(await escrows.prove(say(anna, await proofOf(anna, escrow, view))));
    expect(again.proven).toEqual([anna.id]);
    must(await escrows.prove(say(cleo, await proofOf(cleo, escrow, view))));
    const { conclusion } = must(await escrows.closeDrill({ drill: view.drill.drill, by: OMAR }));
    expect(conclusion).toMatchObject({ proven: [anna.id, cleo.id], failed: [ben.id], at: now() });
    const owed = (await escrows.owedNews()).filter(({ type, data }) => type === 'EscrowDrilled' && data.escrow === escrow.escrow);
    expect(owed.map(({ data }) => data)).toEqual([0, 1].map(() => expect.objectContaining({ failed: [ben.id] })));
    await refused(async () => escrows.prove(say(ben, await proofOf(ben, escrow, view))), 'DRILL_CLOSED');
    const before = await rows();
    expect(must(await escrows.closeDrill({ drill: view.drill.drill, by: OMAR })).conclusion).toEqual(conclusion);
    expect(await rows()).toBe(before);
  });

  it('what is no proof changes nothing', async () => {
    const escrow = await dealt();
    const view = await opened(escrow);
    const other = await opened(escrow);
    const proof = await proofOf(anna, escrow, view);
    const bens = await proofOf(ben, escrow, view);
    await refused(() => escrows.prove(say(anna, { ...proof, proof: bens.proof })), 'SHARE_PROOF_WRONG');
    await refused(
      () => escrows.prove(say(anna, { ...proof, drill: other.drill.drill, asked: other.digest })),
      'SHARE_PROOF_WRONG',
    );
    await refused(() => escrows.prove(say(anna, { ...proof, asked: other.digest })), 'STATEMENT_DIFFERS');
    await refused(() => escrows.prove(say(ben, proof)), 'CUSTODIAN_REFUSED');
    await refused(() => escrows.prove(say(dora, { ...proof, custodian: dora.id })), 'CUSTODIAN_UNKNOWN');
    dismissed.add(anna.id);
    try {
      await refused(() => escrows.prove(say(anna, proof)), 'ESCROW_ROLE_MISSING');
    } finally {
      dismissed.clear();
    }
    await refused(() => escrows.prove(say(anna, { ...proof, drill: newId() })), 'DRILL_UNKNOWN');
    clock.ms += 3_600_001;
    await refused(() => escrows.prove(say(anna, proof)), 'DRILL_CLOSED');
  });
});

describe('a recovery', () => {
  it.each<[string, (escrow: Escrow) => object, string]>([
    ['of another manifest', () => ({ manifest: 'b'.repeat(64) }), 'STATEMENT_DIFFERS'],
    ['of an escrow that is none', () => ({ escrow: newId() }), 'ESCROW_UNKNOWN'],
    ['in another name', () => ({ asker: anna.id }), 'CUSTODIAN_REFUSED'],
    ['that has ended', () => ({ notAfter: now() }), 'RECOVERY_EXPIRY_INVALID'],
    ['for a year', () => ({ notAfter: '2027-11-23T10:00:00.000Z' }), 'RECOVERY_EXPIRY_INVALID'],
    ['without a reason', () => ({ reason: '' }), 'STATEMENT_INVALID'],
  ])('cannot be asked for: %s', async (_name, over, code) => {
    const escrow = await dealt();
    await refused(() => escrows.ask(say(olga, askOf(escrow, over(escrow)))), code);
  });

  it('asked again is the same; other words under its id are refused', async () => {
    const escrow = await dealt();
    const ask = askOf(escrow);
    const signed = say(olga, ask);
    const first = must(await escrows.ask(signed));
    const before = await rows();
    expect(must(await escrows.ask(signed)).digest).toBe(first.digest);
    expect(await rows()).toBe(before);
    await refused(() => escrows.ask(say(olga, { ...ask, reason: 'another' })), 'STATEMENT_DIFFERS');
  });

  it('attacks on an approval: each its code, and nothing changed', async () => {
    const escrow = await dealt();
    const recovery = await asked(escrow);
    const otherEscrow = await dealt();
    const other = await asked(escrow);
    const good = await approvalOf(anna, escrow, recovery);
    const attack =
      (over: object, by: Person = anna) =>
      () =>
        escrows.approve(say(by, { ...good, ...over }));
    const tampered = Buffer.from(good.share.ct, 'base64');
    tampered[3] = (tampered[3] ?? 0) ^ 1;
    await refused(attack({ share: { ...good.share, ct: toBase64(tampered) } }), 'SHARE_UNOPENABLE');
    await refused(attack({ share: await shareOf(anna, escrow, other) }), 'SHARE_UNOPENABLE');
    await refused(attack({ share: await shareOf(ben, escrow, recovery) }), 'SHARE_UNOPENABLE');
    await refused(attack({ share: await shareOf(anna, otherEscrow, recovery) }), 'SHARE_UNOPENABLE');
    await refused(attack({ request: other.digest }), 'STATEMENT_DIFFERS');
    await refused(attack({ reason: '' }), 'STATEMENT_INVALID');
    await refused(attack({}, ben), 'CUSTODIAN_REFUSED');
    await refused(attack({ custodian: dora.id }, dora), 'CUSTODIAN_UNKNOWN');
    await refused(attack({ recovery: newId() }), 'RECOVERY_UNKNOWN');
    await approved(anna, escrow, recovery);
    await refused(attack({}), 'APPROVAL_REPEATED');
    await refused(attack({ share: await shareOf(anna, escrow, recovery) }), 'APPROVAL_REPEATED');
  });

  it('who lost the role, or never had it, holds nothing, gives nothing and asks for nothing, whoever brings the statement', async () => {
    const escrow = await dealt();
    const recovery = await asked(escrow);
    const approval = await approvalOf(anna, escrow, recovery);
    const { publicKey = '' } = files.get(ben.id) ?? {};
    const annas = who('operator/anna');
    await refused(
      () => escrows.enroll(say(annas, { kind: 'sealing-key', custodian: annas.id, publicKey, at: now() })),
      'ESCROW_ROLE_MISSING',
    );
    for (const { id } of [anna, olga]) dismissed.add(id);
    try {
      await refused(() => escrows.approve(say(anna, approval)), 'ESCROW_ROLE_MISSING');
      await refused(() => escrows.ask(say(olga, askOf(escrow))), 'ESCROW_ROLE_MISSING');
    } finally {
      dismissed.clear();
    }
  });

  it('an approval ends with the role and with the certificate of who gave it', async () => {
    const escrow = await dealt();
    const recovery = await asked(escrow);
    await approved(anna, escrow, recovery);
    await approved(ben, escrow, recovery);
    const recover = () => escrows.recover({ recovery: recovery.recovery, by: OMAR });
    for (const [end, undo] of [
      [() => dismissed.add(ben.id), () => dismissed.clear()],
      [() => revoked.add(ben.id), () => revoked.clear()],
    ] as const) {
      end();
      try {
        await refused(recover, 'APPROVALS_MISSING');
      } finally {
        undo();
      }
    }
    dismissed.add(ben.id);
    try {
      await approved(cleo, escrow, recovery);
      must(await recover());
    } finally {
      dismissed.clear();
    }
    const told = (await escrows.owedNews()).filter(({ type, data }) => type === 'KeyRecovered' && data.escrow === escrow.escrow);
    const digests = must(await escrows.recovery(recovery.recovery)).approvals.filter(({ custodian }) => custodian !== ben.id);
    expect(told.map(({ data }) => data)).toEqual(
      [0, 1].map(() => expect.objectContaining({ approvals: digests.map(({ digest }) => digest) })),
    );
  });

  it('an approval that ends while the key is put together ends the recovery', async () => {
    const escrow = await dealt();
    const recovery = await asked(escrow);
    await approved(anna, escrow, recovery);
    await approved(ben, escrow, recovery);
    let judged = 0;
    const leaving = side.keys.escrows({ ...context, may: (person, duty) => context.may(person, duty) && ++judged <= 2 });
    await refused(() => leaving.recover({ recovery: recovery.recovery, by: OMAR }), 'APPROVALS_MISSING');
    expect(judged).toBeGreaterThan(2);
  });

  it('a row of an approval that its custodian did not sign counts for nothing', async () => {
    const escrow = await dealt();
    const recovery = await asked(escrow);
    await approved(anna, escrow, recovery);
    await approved(ben, escrow, recovery);
    const bens = await approvalOf(ben, escrow, recovery);
    const { envelope } = say(cleo, { ...bens, custodian: cleo.id });
    await onEscrow(side.store.db)
      .updateTable('keys_recovery_approvals')
      .set({ envelope: JSON.stringify(envelope) })
      .where('recovery', '=', recovery.recovery)
      .where('custodian', '=', ben.id)
      .execute();
    await refused(() => escrows.recover({ recovery: recovery.recovery, by: OMAR }), 'APPROVALS_MISSING');
  });

  it('three duties, three persons: under whatever name they come', async () => {
    const escrow = await dealt();
    const annas = who('operator/anna');
    const recovery = must(await escrows.ask(say(annas, askOf(escrow, { asker: annas.id }))));
    await refused(async () => escrows.approve(say(anna, await approvalOf(anna, escrow, recovery))), 'RECOVERY_DUTY');
    await approved(ben, escrow, recovery);
    await refused(() => escrows.recover({ recovery: recovery.recovery, by: OMAR }), 'APPROVALS_MISSING');
    await approved(cleo, escrow, recovery);
    for (const by of [annas.id, anna.id, 'spiffe://csp-a.example/operator/ben', cleo.id])
      await refused(() => escrows.recover({ recovery: recovery.recovery, by }), 'RECOVERY_DUTY');
    expect(must(await escrows.recover({ recovery: recovery.recovery, by: OMAR }))).toMatchObject({ state: 'recovered' });
    await refused(() => escrows.recover({ recovery: recovery.recovery, by: OMAR }), 'RECOVERY_ENDED');
    await refused(async () => escrows.approve(say(anna, await approvalOf(anna, escrow, recovery))), 'RECOVERY_ENDED');
  });

  it('an API key is nobody’s third person: whoever asked or approved may hold it; what counts no persons it may do', async () => {
    const robot = 'api-key/nightly';
    const escrow = await dealt({ by: robot });
    const drill = { escrow: escrow.escrow, by: robot, reason: 'quarterly', notAfter: inOneHour() };
    const { drill: view } = must(await escrows.openDrill(drill));
    must(await escrows.closeDrill({ drill: view.drill, by: robot }));
    const recovery = await asked(escrow);
    await approved(anna, escrow, recovery);
    await approved(ben, escrow, recovery);
    await refused(() => escrows.recover({ recovery: recovery.recovery, by: robot }), 'RECOVERY_DUTY');
    // Names of API keys are no names of signers: neither statement can be said by one.
    await refused(() => escrows.ask(say(olga, askOf(escrow, { asker: robot }))), 'STATEMENT_INVALID');
    const approval = await approvalOf(cleo, escrow, recovery, { custodian: robot });
    await refused(() => escrows.approve(say(cleo, approval)), 'STATEMENT_INVALID');
    must(await escrows.recover({ recovery: recovery.recovery, by: OMAR }));
  });

  it('a request that has expired is approved by nobody, carried out by nobody, and its key goes', async () => {
    const escrow = await dealt();
    const recovery = await asked(escrow);
    await approved(anna, escrow, recovery);
    await approved(ben, escrow, recovery);
    const late = await approvalOf(cleo, escrow, recovery);
    clock.ms += 3_600_001;
    await refused(() => escrows.approve(say(cleo, late)), 'RECOVERY_EXPIRED');
    await refused(() => escrows.recover({ recovery: recovery.recovery, by: OMAR }), 'RECOVERY_EXPIRED');
    expect(await escrows.expire()).toBeGreaterThan(0);
    await refused(() => escrows.recover({ recovery: recovery.recovery, by: OMAR }), 'RECOVERY_EXPIRED');
    const kept = await onEscrow(side.store.db)
      .selectFrom('keys_recoveries')
      .select(['state', 'private_key'])
      .where('recovery', '=', recovery.recovery)
      .executeTakeFirst();
    expect(kept).toEqual({ state: 'expired', private_key: null });
  });

  it.each([
    ['gave the VM away', false, 'ESCROW_NOT_HOLDER'],
    ['does not know, since its database came back from a backup', 'unsure', 'ESCROW_LEDGERS_BEHIND'],
  ] as const)('whoever %s recovers nothing, at no step, and deals nothing', async (_, here, code) => {
    const escrow = await dealt();
    const recovery = await asked(escrow);
    const approval = await approvalOf(cleo, escrow, recovery);
    await approved(anna, escrow, recovery);
    await approved(ben, escrow, recovery);
    held.here = here;
    try {
      await refused(() => escrows.ask(say(olga, askOf(escrow))), code);
      await refused(() => escrows.approve(say(cleo, approval)), code);
      await refused(() => escrows.recover({ recovery: recovery.recovery, by: OMAR }), code);
      const custodians = [anna, ben, cleo].map(({ id }) => id);
      const { key } = escrow.manifest.terms;
      await refused(() => escrows.create({ key, version: 1, threshold: 2, custodians, by: OMAR, reason: 'test' }), code);
    } finally {
      held.here = true;
    }
    const { key } = escrow.manifest.terms;
    must(await within(side, (tx) => side.keys.changeState(tx, { key, version: 1, to: 'suspended', reason: 'released' })));
    await refused(() => escrows.recover({ recovery: recovery.recovery, by: OMAR }), 'KEY_STATE');
  });

  it('the root is lost: a new one begins beside it, and two of three custodians bring the key back', async () => {
    const made = await newKey();
    const escrow = await dealt({ key: made.key });
    const before = await atHost(side.keys, made);
    const root = join(side.dir, 'root.json');
    const unlock = { kind: 'file', path: join(side.dir, 'passphrase') } as const;
    const options = {
      store: side.store,
      root: { kind: 'file', path: root, unlock } as const,
      spareDir: join(side.dir, 'spares'),
      domain: context.csp,
      actor: 'spiffe://csp-a.example/broker',
      now,
      random: randomBytes,
      process: inlineProcess(),
    };
    expect(await declareRootLost(options)).toMatchObject({ ok: false, code: 'ROOT_NOT_LOST' });
    const aside = join(side.dir, 'root.aside');
    cpSync(root, aside);
    rmSync(root);
    must(await createRootFile({ path: root, unlock, process: options.process, random: randomBytes, cost: COST }));
    expect(await openKeyManager(options)).toMatchObject({ ok: false, code: 'KEK_UNOPENABLE' });
    expect(must(await declareRootLost(options))).toBe(1);

    const fresh = must(await openKeyManager(options));
    expect(await atHost(fresh, made)).toMatchObject({ ok: false });
    const again = fresh.escrows(context);
    const recovery = must(await again.ask(say(olga, askOf(escrow))));
    for (const by of [cleo, anna]) must(await again.approve(say(by, await approvalOf(by, escrow, recovery))));
    const back = must(await again.recover({ recovery: recovery.recovery, by: OMAR }));
    expect(await atHost(fresh, made)).toEqual(before);
    const used = (await fresh.usesOf(made.key)).map(({ operation, principal }) => [operation, principal]);
    expect(used).toEqual(['run', 'recover', 'run', 'escrow'].map((operation) => [operation, OMAR]));
    expect(must(await fresh.show({ key: made.key, version: 1 }))).toMatchObject({
      origin: 'recovered',
      state: 'active',
      recovered: { escrow: escrow.escrow, recovery: recovery.recovery, statement: back.outcome },
    });
    const types = (await again.owedNews()).filter(({ data }) => data.escrow === escrow.escrow).map(({ type }) => type);
    expect(new Set(types)).toEqual(new Set(['KeyEscrowed', 'RecoveryRequested', 'RecoveryApproved', 'KeyRecovered']));
    const gone = await onEscrow(side.store.db)
      .selectFrom('keys_recoveries')
      .select('private_key')
      .where('recovery', '=', recovery.recovery)
      .executeTakeFirst();
    expect(gone).toEqual({ private_key: null });
  });
});
