import { readFileSync } from 'node:fs';
import { eventually } from '@carnet/dev';
import { eventSubject, peerSubject, trustDomain } from '@carnet/events';
import { connectNats } from '@carnet/journal';
import { jetstream } from '@nats-io/jetstream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busAddress, type Clouds, startClouds } from '../faults/harness/clouds.ts';
import { ledgerRows, rowsOf } from '../faults/harness/ledger-db.ts';
import { intentOf, must, type Vm } from '../faults/harness/moves.ts';
import { aMigration, digestOf, payloadOf, type Rogue, rogueAfterMove, type Shot, someKey } from './rogue-peer.ts';

let clouds: Clouds;
let rogue: Rogue;
let stays: Vm;

beforeAll(async () => {
  clouds = await startClouds();
  ({ rogue, stays } = await rogueAfterMove(clouds));
});

afterAll(async () => {
  await rogue?.close();
  await clouds?.stop();
});

const B = trustDomain.parse('csp-b.example');
const A = trustDomain.parse('csp-a.example');

/** How often the victim's broker has said that it refused something with this code. */
const said = (code: string): number => readFileSync(clouds.a.paths.brokerLog, 'utf8').split(`"code":"${code}"`).length - 1;

async function isRefused(shot: Shot, code: string): Promise<void> {
  const before = said(code);
  await rogue.fire(shot);
  await eventually(`refusal ${code}`, () => (said(code) > before ? true : undefined), 10_000);
}

const everything = async (): Promise<unknown> => ({
  events: await ledgerRows(clouds.a.database),
  ledgers: await rowsOf(
    clouds.a.database,
    'select publisher, audience, head_seq, head_digest, frozen from ledgers order by 1, 2',
  ),
  proofs: await rowsOf(clouds.a.database, 'select digest from proofs'),
  vms: await rowsOf(clouds.a.database, 'select vm, host, epoch from broker_vms order by vm'),
  keys: (await clouds.a.api.get('/v1/keys')).ok,
  stays: clouds.a.host.domain(stays.uuid)?.state,
});

/** Every way to be wrong in one place, and the code that it earns. */
const ATTACKS: Readonly<Record<string, { readonly code: string; readonly shot: () => Promise<Shot> }>> = {
  'forged: the signature is of another key under the announced key’s id': {
    code: 'SIGNATURE_INVALID',
    shot: async () => rogue.sign(await rogue.intended(), { signer: { keyid: rogue.ownKey.keyid, sign: someKey().sign } }),
  },
  'forged: signed by a key that was never announced': {
    code: 'KEY_NOT_ANNOUNCED',
    shot: async () => rogue.sign(await rogue.intended(), { signer: someKey() }),
  },
  'another kind of thing: a peer message’s payload type': {
    code: 'PAYLOAD_TYPE_UNEXPECTED',
    shot: async () => rogue.sign(await rogue.intended(), { payloadType: 'application/vnd.carnet.request.v1+json' }),
  },
  'wrong audience: made for a third CSP': {
    code: 'AUDIENCE_MISMATCH',
    shot: async () => {
      const payload = await rogue.intended();
      return rogue.sign({ ...payload, audience: 'csp-c.example' }, { subject: rogue.sign(payload).subject });
    },
  },
  'wrong publisher: in the name of a third CSP': {
    code: 'PUBLISHER_MISMATCH',
    shot: async () => {
      const payload = await rogue.intended();
      return rogue.sign({ ...payload, publisher: 'csp-c.example' }, { subject: rogue.sign(payload).subject });
    },
  },
  're-targeted: on the subject of another migration': {
    code: 'SUBJECT_MISMATCH',
    shot: async () => {
      const payload = await rogue.intended();
      return rogue.sign(payload, { subject: rogue.sign({ ...payload, migration: aMigration() }).subject });
    },
  },
  'oversize: too long for an event, not for the bus': {
    code: 'ENVELOPE_TOO_LARGE',
    shot: async () => rogue.sign({ ...(await rogue.intended()), padding: 'x'.repeat(48_000) }),
  },
  'a duplicate key: two VMs in one event': {
    code: 'JSON_DUPLICATE_KEY',
    shot: async () => {
      const text = JSON.stringify(await rogue.intended());
      return rogue.sign(text.replace('"epoch":', '"epoch":1,"epoch":'));
    },
  },
  'a number that parsers read differently': {
    code: 'JSON_NUMBER',
    shot: async () => {
      const text = JSON.stringify(await rogue.intended());
      return rogue.sign(text.replace(/"epoch":(\d+)/, '"epoch":$1.0'));
    },
  },
  'the id of an older event': {
    code: 'ID_REUSED',
    shot: async () => rogue.sign({ ...(await rogue.intended()), id: payloadOf((await rogue.old(2)).envelope)['id'] }),
  },
  'no place in a ledger: the sequence is missing': {
    code: 'PLACEMENT_INVALID',
    shot: async () => {
      const { seq: _, ...payload } = await rogue.intended();
      return rogue.sign(payload);
    },
  },
};

describe('a rogue peer’s events, each valid but for one field, through the real bus', () => {
  it.each(Object.entries(ATTACKS))('%s', async (_name, { code, shot }) => {
    const before = await everything();
    await isRefused(await shot(), code);
    expect(await everything()).toEqual(before);
  });

  it('replayed: an event that was placed long ago changes nothing', async () => {
    const before = await everything();
    await rogue.fire(await rogue.old(2));
    // The ledger is read in order: when what came after the replay is refused, the replay has been judged.
    await isRefused(rogue.sign(await rogue.intended(), { signer: someKey() }), 'KEY_NOT_ANNOUNCED');
    expect(await everything()).toEqual(before);
  });
});

describe('a peer that speaks as another, refused by NATS', () => {
  it.each([
    ['csp-b.example', 'broker', eventSubject({ publisher: A, audience: B, type: 'MigrationIntended', migration: aMigration() })],
    ['csp-b.example', 'broker', peerSubject(A, B)],
    [
      'csp-b.example',
      'agent-hv1',
      eventSubject({ publisher: B, audience: A, type: 'MigrationIntended', migration: aMigration() }),
    ],
    [
      'csp-a.example',
      'operator',
      eventSubject({ publisher: A, audience: B, type: 'MigrationIntended', migration: aMigration() }),
    ],
  ])('%s/%s on %s', async (folder, name, subject) => {
    const before = await everything();
    const shot = await rogue.old(2);
    const attempt = async (): Promise<string> => {
      const connection = await connectNats(busAddress(clouds.pki, clouds.bus, folder, name));
      const heard: string[] = [];
      void (async () => {
        for await (const change of connection.status()) if (change.type === 'error') heard.push(String(change.error));
      })();
      try {
        connection.publish(subject, shot.envelope);
        await connection.flush();
        return await eventually('NATS’s refusal', () => heard.find((text) => /permission/i.test(text)), 3_000);
      } finally {
        await connection.close();
      }
    };
    // An operator’s certificate is no user of the bus at all.
    await expect(attempt().catch((cause: unknown) => `refused: ${String(cause)}`)).resolves.toMatch(
      name === 'operator' ? /^refused: .*(authori|violation)/i : /permission/i,
    );
    expect(await everything()).toEqual(before);
  });

  it('and by us: with the bus’s own operator on the rogue’s side, an event of A’s ledger put into B’s is refused', async () => {
    const before = await everything();
    const [own] = await rowsOf<{ readonly envelope: Uint8Array }>(
      clouds.a.database,
      'select envelope from events where publisher = $1 and seq = 2',
      [A],
    );
    const connection = await connectNats(busAddress(clouds.pki, clouds.bus, 'bus', 'operator'));
    const count = said('KEY_NOT_ANNOUNCED');
    await jetstream(connection).publish((await rogue.old(2)).subject, own?.envelope ?? '');
    await eventually('our refusal', () => (said('KEY_NOT_ANNOUNCED') > count ? true : undefined), 10_000);
    await connection.close();
    expect(await everything()).toEqual(before);
  });
});

describe('what the peer did sign stands, for everyone equally', () => {
  it('an unknown field: placed and void, acted upon by nobody', async () => {
    const { a } = clouds;
    const shot = rogue.sign({ ...(await rogue.intended()), note: 'one field too many' });
    await rogue.fire(shot);
    const row = await eventually(
      'the void event',
      async () => (await ledgerRows(a.database)).find(({ digest }) => digest === digestOf(shot)),
      10_000,
    );
    expect(row.void_code).toBe('SCHEMA_INVALID');
    const { items } = must(await a.api.get<{ readonly items: readonly { readonly migration: string }[] }>('/v1/migrations'));
    expect(items.map(({ migration }) => migration)).not.toContain(payloadOf(shot.envelope)['migration']);
  });

  it('control: without any change the same event is placed and answered, so each attack above failed by its one field', async () => {
    const { a } = clouds;
    const shot = rogue.sign(await rogue.intended());
    await rogue.fire(shot);
    const migration = payloadOf(shot.envelope)['migration'];
    const answer = await eventually(
      'A’s answer',
      async () => (await ledgerRows(a.database)).find((row) => row.publisher === A && row.migration === migration),
      15_000,
    );
    expect(['MigrationOffered', 'MigrationRefused']).toContain(answer.type);
  });

  it('two events at one position: the proof is kept, nothing new is begun with that peer, and our VM runs on', async () => {
    const { a } = clouds;
    const next = await rogue.intended();
    const twin = {
      ...next,
      seq: String(Number(next['seq']) - 1),
      prev: payloadOf((await rogue.old(Number(next['seq']) - 1)).envelope)['prev'],
    };
    await isRefused(rogue.sign(twin), 'LEDGER_FORK');
    const refused = await a.api.post('/v1/intents', intentOf(stays.vm, B, 'cold'));
    expect(refused).toMatchObject({ ok: false, code: 'LEDGER_FROZEN' });
    expect(await rowsOf(a.database, "select code from proofs where code = 'LEDGER_FORK'")).not.toEqual([]);
    expect(a.host.domain(stays.uuid)?.state).toBe('running');
  });
});
