import { eventually } from '@carnet/dev';
import { eventSubject, peerSubject, trustDomain } from '@carnet/events';
import { connectNats } from '@carnet/journal';
import { jetstream } from '@nats-io/jetstream';
import { beforeAll, describe, expect, it } from 'vitest';
import { busAddress } from '../faults/harness/clouds.ts';
import { ledgerRows, rowsOf } from '../faults/harness/ledger-db.ts';
import { must } from '../faults/harness/moves.ts';
import { clouds, saysOnce, truthOfA, wrote } from './rig.ts';
import { aMigration, digestOf, payloadOf, type Shot, someKey } from './rogue-peer.ts';
import { rogue, turnRogue } from './rogue-rig.ts';

const B = trustDomain.parse('csp-b.example');
const A = trustDomain.parse('csp-a.example');

const isRefused = (shot: Shot, code: string): Promise<void> => saysOnce('brokerLog', `"code":"${code}"`, () => rogue.fire(shot));

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
  'a number beyond 2^53, which other parsers round': {
    code: 'JSON_NUMBER',
    shot: async () => rogue.sign(JSON.stringify(await rogue.intended()).replace(/"epoch":\d+/, '"epoch":9007199254740993')),
  },
  'a lone surrogate, which other parsers replace': {
    code: 'JSON_SURROGATE',
    shot: async () => rogue.sign(JSON.stringify(await rogue.intended()).replace('"cold"', '"cold\\ud800"')),
  },
  'a key that is every object’s prototype': {
    code: 'JSON_PROTO',
    shot: async () => rogue.sign(JSON.stringify(await rogue.intended()).replace('"data":{', '"data":{"__proto__":{},')),
  },
  'deeper than any parser should follow': {
    code: 'JSON_DEPTH',
    shot: async () => {
      const deep = `${'['.repeat(64)}${']'.repeat(64)}`;
      return rogue.sign(JSON.stringify(await rogue.intended()).replace('"data":{', `"data":{"deep":${deep},`));
    },
  },
  'a NATS wildcard as the migration’s id': {
    code: 'PLACEMENT_INVALID',
    shot: async () => {
      const payload = await rogue.intended();
      const { subject } = rogue.sign(payload);
      return rogue.sign({ ...payload, migration: '*' }, { subject });
    },
  },
  're-spelled on its way: the same event with a blank in its envelope': {
    code: 'ENVELOPE_NOT_CANONICAL',
    shot: async () => {
      const { envelope, subject } = rogue.sign(await rogue.intended());
      return { subject, envelope: Buffer.from(Buffer.from(envelope).toString('utf8').replace('{', '{ ')) };
    },
  },
  'two signatures, of which a reader may choose': {
    code: 'ENVELOPE_MALFORMED',
    shot: async () => {
      const { envelope, subject } = rogue.sign(await rogue.intended());
      const text = Buffer.from(envelope).toString('utf8');
      return { subject, envelope: Buffer.from(text.replace(/"signatures":\[(.*)\]/, '"signatures":[$1,$1]')) };
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
  // From here on B's broker is the rogue's: whatever needs an honest B has run before.
  beforeAll(turnRogue);

  it.each(Object.entries(ATTACKS))('%s', async (_name, { code, shot }) => {
    const before = await truthOfA();
    await isRefused(await shot(), code);
    expect(await truthOfA()).toEqual(before);
  });

  it('replayed: an event that was placed long ago changes nothing', async () => {
    const before = await truthOfA();
    await rogue.fire(await rogue.old(2));
    // The ledger is read in order: when what came after the replay is refused, the replay has been judged.
    await isRefused(rogue.sign(await rogue.intended(), { signer: someKey() }), 'KEY_NOT_ANNOUNCED');
    expect(await truthOfA()).toEqual(before);
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
    const before = await truthOfA();
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
    expect(await truthOfA()).toEqual(before);
  });

  it('and by us: with the bus’s own operator on the rogue’s side, an event of A’s ledger put into B’s is refused', async () => {
    const before = await truthOfA();
    const [own] = await rowsOf<{ readonly envelope: Uint8Array }>(
      clouds.a.database,
      'select envelope from events where publisher = $1 and seq = 2',
      [A],
    );
    const connection = await connectNats(busAddress(clouds.pki, clouds.bus, 'bus', 'operator'));
    const count = wrote('brokerLog', 'KEY_NOT_ANNOUNCED');
    await jetstream(connection).publish((await rogue.old(2)).subject, own?.envelope ?? '');
    await eventually('our refusal', () => (wrote('brokerLog', 'KEY_NOT_ANNOUNCED') > count ? true : undefined), 10_000);
    await connection.close();
    expect(await truthOfA()).toEqual(before);
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
    expect(answer.type).toBe('MigrationOffered');
    const reason = { code: 'CANCELLED', text: 'the control is over' };
    const { epoch } = payloadOf(shot.envelope);
    const data = { intent: digestOf(shot), reason };
    await rogue.fire(rogue.sign(await rogue.next({ type: 'MigrationWithdrawn', migration, epoch, causes: [], data })));
    await eventually('the end', async () =>
      (await ledgerRows(a.database)).find((row) => row.migration === migration && row.type === 'MigrationRelinquished'),
    );
  });
});
