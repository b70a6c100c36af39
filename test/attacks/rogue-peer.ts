import { createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type Digest, eventSubject, migrationId, PAYLOAD_TYPES, trustDomain, uuidv7 } from '@carnet/events';
import { connectNats } from '@carnet/journal';
import { ed25519Signer, type Signer, sha256Hex, signEnvelope } from '@carnet/trust';
import { jetstream } from '@nats-io/jetstream';
import { ledgersAgree } from '../faults/harness/checks.ts';
import type { Cloud } from '../faults/harness/cloud.ts';
import { busAddress, type Clouds } from '../faults/harness/clouds.ts';
import { ledgerRows, rowsOf } from '../faults/harness/ledger-db.ts';
import { createVm, intend, settled, type Vm } from '../faults/harness/moves.ts';

export type Payload = Readonly<Record<string, unknown>>;

/** What a rogue sends: exact bytes on a subject of its choice. */
export type Shot = { readonly envelope: Uint8Array; readonly subject: string };

/** A CSP gone bad: it has its own certificate and event key, a place on the bus, and its honest broker is off. */
export type Rogue = {
  /** What places the next event in the rogue's ledger; the rest is given. */
  readonly next: (rest: Payload) => Promise<Payload>;
  /** A `MigrationIntended`, of the VM that came by the last honest move, that an honest peer would accept: each attack changes one thing. */
  readonly intended: () => Promise<Payload>;
  /** Data of the event of this type that this CSP published in that honest move. */
  readonly genuine: (publisher: 'rogue' | 'victim', type: string) => Promise<Payload>;
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
  const next: Rogue['next'] = async (rest) => {
    const head = (await ledgerRows(victim.database)).findLast(({ publisher }) => publisher === self.plan.domain);
    return {
      id: uuidv7(Date.now(), randomBytes(10)),
      v: 1,
      publisher: self.plan.domain,
      audience: victim.plan.domain,
      seq: String((head?.seq ?? 0) + 1),
      prev: head?.digest ?? '',
      time: new Date().toISOString(),
      ...rest,
    };
  };
  const moved = payloadOf(await envelopeOf(victim.plan.domain, "type = 'SourceRetired'"));
  const ofMove = (publisher: string, type: string): Promise<Uint8Array> =>
    envelopeOf(publisher, `type = '${type}' and migration = '${String(moved['migration'])}'`);
  /** What later attempts with this VM have left: the epoch that is free, and what the victim said at their ends. */
  const attempts = async (vm: unknown): Promise<{ readonly epoch: number; readonly ends: readonly string[] }> => {
    const rows = await rowsOf<{ readonly epoch: number; readonly digest: string | null }>(
      victim.database,
      `select i.epoch::int as epoch, r.digest from events i
        left join events r on r.migration = i.migration and r.type = 'MigrationRelinquished' and r.publisher = $2
        where i.vm = $1 order by i.epoch`,
      [vm, victim.plan.domain],
    );
    const last = rows.findLast(({ digest }) => digest !== null)?.digest;
    return { epoch: 1 + Math.max(...rows.map(({ epoch }) => epoch)), ends: last === null || last === undefined ? [] : [last] };
  };
  return {
    ownKey,
    sign,
    next,
    genuine: async (who, type) => {
      const payload = payloadOf(await ofMove((who === 'rogue' ? self : victim).plan.domain, type));
      return payload['data'] as Payload;
    },
    intended: async () => {
      const genuine = payloadOf(await ofMove(victim.plan.domain, 'MigrationIntended'))['data'] as Payload;
      const { epoch, ends } = await attempts(genuine['vm']);
      return next({
        type: 'MigrationIntended',
        // What makes the VM its own to move.
        causes: [sha256Hex(await ofMove(victim.plan.domain, 'SourceRetired')), ...ends],
        migration: aMigration(),
        epoch,
        data: {
          ...genuine,
          source: self.plan.domain,
          target: victim.plan.domain,
          request: { via: 'mtls', principal: `spiffe://${self.plan.domain}/operator`, digest: sha256Hex(randomBytes(1)) },
          ...times(),
        },
      });
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

export const digestOf = (shot: Shot): Digest => sha256Hex(shot.envelope);
