import { createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { eventSubject, migrationId, PAYLOAD_TYPES, trustDomain, uuidv7 } from '@carnet/events';
import { connectNats } from '@carnet/journal';
import { ed25519Signer, type Signer, sha256Hex, signEnvelope } from '@carnet/trust';
import { jetstream } from '@nats-io/jetstream';
import { ledgersAgree } from '../faults/harness/checks.ts';
import type { Cloud } from '../faults/harness/cloud.ts';
import { busAddress, type Clouds } from '../faults/harness/clouds.ts';
import { ledgerRows, rowsOf } from '../faults/harness/ledger-db.ts';
import { createVm, intend, settled, type Vm } from '../faults/harness/moves.ts';

type Payload = Readonly<Record<string, unknown>>;

/** What a rogue sends: exact bytes on a subject of its choice. */
export type Shot = { readonly envelope: Uint8Array; readonly subject: string };

/** A CSP gone bad: it has its own certificate and event key, a place on the bus, and its honest broker is off. */
export type Rogue = {
  /** A `MigrationIntended` that an honest peer would accept: each attack changes one thing of it. */
  readonly intended: () => Promise<Payload>;
  /** The exact bytes of an event that already stands in the victim's database. */
  readonly old: (seq: number) => Promise<Shot>;
  readonly sign: (
    payload: Payload | string,
    over?: { readonly signer?: Signer; readonly payloadType?: string; readonly subject?: string },
  ) => Shot;
  readonly fire: (shot: Shot) => Promise<void>;
  readonly ownKey: Signer;
  readonly close: () => Promise<void>;
};

export const someKey = (): Signer => ed25519Signer(generateKeyPairSync('ed25519').privateKey);
export const aMigration = () => migrationId.parse(uuidv7(Date.now(), randomBytes(10)));

/** B turns against A after one honest move between them; `stays` is a VM that is still at A. */
export async function rogueAfterMove(clouds: Clouds): Promise<{ readonly rogue: Rogue; readonly stays: Vm }> {
  const { a, b } = clouds;
  const goes = await createVm(a);
  const stays = await createVm(a);
  await settled(clouds, await intend(a, b, goes, 'cold'), 60_000);
  await ledgersAgree(clouds);
  return { rogue: await becomeRogue(clouds, b, a), stays };
}

/** Takes the place of `self` towards `victim`, after one genuine migration from victim to self has given it a VM. */
export async function becomeRogue({ pki, bus }: Clouds, self: Cloud, victim: Cloud): Promise<Rogue> {
  await self.broker.kill('SIGKILL');
  const connection = await connectNats(busAddress(pki, bus, self.plan.domain, 'broker'));
  const stream = jetstream(connection, { apiPrefix: 'bus' });
  const ownKey = ed25519Signer(createPrivateKey(readFileSync(self.paths.eventKey)));
  const envelopeOf = async (publisher: string, where: string): Promise<Uint8Array> => {
    const [row] = await rowsOf<{ readonly envelope: Uint8Array }>(
      victim.database,
      `select envelope from events where publisher = $1 and ${where} order by seq desc limit 1`,
      [publisher],
    );
    if (row === undefined) throw new Error(`no event of ${publisher} where ${where}`);
    return row.envelope;
  };
  const sign: Rogue['sign'] = (payload, { signer = ownKey, payloadType = PAYLOAD_TYPES.event, subject } = {}) => {
    const text = typeof payload === 'string' ? payload : JSON.stringify(payload);
    return {
      envelope: signEnvelope(payloadType, Buffer.from(text), signer),
      subject: subject ?? subjectOf(JSON.parse(text) as Payload),
    };
  };
  return {
    ownKey,
    sign,
    intended: async () => {
      const genuine = payloadOf(await envelopeOf(victim.plan.domain, "type = 'MigrationIntended'"));
      const rows = await ledgerRows(victim.database);
      const head = rows.findLast(({ publisher }) => publisher === self.plan.domain);
      const retired = rows.find(({ type }) => type === 'SourceRetired');
      const data = { ...(genuine['data'] as Payload), source: self.plan.domain, target: victim.plan.domain, ...times() };
      return {
        ...genuine,
        id: uuidv7(Date.now(), randomBytes(10)),
        publisher: self.plan.domain,
        audience: victim.plan.domain,
        seq: String((head?.seq ?? 0) + 1),
        prev: head?.digest ?? '',
        // What makes the VM its own to move.
        causes: [retired?.digest ?? ''],
        time: new Date().toISOString(),
        migration: aMigration(),
        epoch: Number(genuine['epoch']) + 1,
        data,
      };
    },
    old: async (seq) => {
      const envelope = await envelopeOf(self.plan.domain, `seq = ${seq}`);
      return { envelope, subject: subjectOf(payloadOf(envelope)) };
    },
    fire: async ({ envelope, subject }) => {
      await stream.publish(subject, envelope, { timeout: 3_000 });
    },
    close: () => connection.close(),
  };
}

const times = (): Payload => ({
  offerBy: new Date(Date.now() + 60_000).toISOString(),
  deadline: new Date(Date.now() + 600_000).toISOString(),
});

export function payloadOf(envelope: Uint8Array): Payload {
  const { payload } = JSON.parse(Buffer.from(envelope).toString('utf8')) as { readonly payload: string };
  return JSON.parse(Buffer.from(payload, 'base64').toString('utf8')) as Payload;
}

function subjectOf(payload: Payload): string {
  const { publisher, audience, type, migration } = payload;
  return eventSubject({
    publisher: trustDomain.parse(publisher),
    audience: trustDomain.parse(audience),
    type: String(type),
    migration: migration === undefined ? undefined : migrationId.parse(migration),
  });
}

export const digestOf = (shot: Shot): string => sha256Hex(shot.envelope);
