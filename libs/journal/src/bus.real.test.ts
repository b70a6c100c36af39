import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { cpSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { createDatabase, type Nats, own, type Postgres, runAs, scratch, startNats, startPostgres } from '@carnet/dev';
import {
  eventSubject,
  hostName,
  ledgerStream,
  ledgerSubjects,
  peerSubject,
  type TrustDomain,
  timestamp,
  trustDomain,
} from '@carnet/events';
import {
  chainValidator,
  createFederationPki,
  type FederationPki,
  leafSigner,
  privateKeyPem,
  readPem,
  rememberedRsaKeys,
} from '@carnet/pki';
import { openStore, type Store } from '@carnet/store';
import { ed25519Signer } from '@carnet/trust';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { sql } from 'kysely';
import { connect } from 'nats';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  type Bus,
  type BusAddress,
  bootId,
  bootsIn,
  busConfig,
  connectBus,
  connectNats,
  ensureStreams,
  type Journal,
  type JournalParts,
  openJournal,
} from './index.ts';
import { HEAD_EVERY_MS } from './limits.ts';
import { A, B, decide, memoryLog, newMigration, refusal, testClock } from './testing/world.ts';

const BUS = trustDomain.parse('bus.example');
const HOST = hostName.parse('h1');
const dir = scratch('journal');
const random = (n: number): Uint8Array => new Uint8Array(randomBytes(n));
const members = [
  { domain: A, hosts: [HOST] },
  { domain: B, hosts: [HOST] },
];
const pkiDir = join(dir, 'pki');
const now = () => timestamp.parse(new Date(testClock.nowMs()).toISOString());
let pki: FederationPki;
let postgres: Postgres;
let nats: Nats;
let round = 0;

beforeAll(async () => {
  pki = await createFederationPki({
    dir: pkiDir,
    domains: members,
    busDomain: BUS,
    nowMs: testClock.nowMs(),
    random,
    keys: rememberedRsaKeys(join(tmpdir(), `carnet-test-keys-${userInfo().uid}`)),
  });
  const tls = { cert: join(pkiDir, 'bus/server.pem'), key: join(pkiDir, 'bus/server.key'), ca: join(pkiDir, 'root.pem') };
  own(tls.key, runAs());
  postgres = await startPostgres({ dir: join(dir, 'pg') });
  nats = await startNats({ dir: join(dir, 'nats'), configText: busConfig({ busDomain: BUS, members, tls }) });
});

afterAll(async () => {
  await nats?.stop();
  await postgres?.stop();
});

/** As `connectNats`, but gives up. */
const connectOnce = ({ servers, serverName, tls }: BusAddress) =>
  connect({
    servers: [...servers],
    tls: { ...tls, servername: serverName } as object,
    reconnect: false,
    maxReconnectAttempts: 0,
  });

const address = (folder: string, name: string): BusAddress => ({
  servers: [nats.url],
  serverName: BUS,
  tls: {
    cert: readFileSync(join(pkiDir, folder, `${name}.pem`), 'utf8'),
    key: readFileSync(join(pkiDir, folder, `${name}.key`), 'utf8'),
    ca: readFileSync(join(pkiDir, 'root.pem'), 'utf8'),
  },
  name: `${folder} ${name}`,
});
const operator = (): BusAddress => address('bus', 'operator');

type Side = {
  readonly self: TrustDomain;
  readonly store: Store;
  readonly journal: Journal;
  readonly parts: JournalParts;
  readonly bus: Bus;
  readonly log: ReturnType<typeof memoryLog>;
};
const eventKeys = new Map([A, B].map((domain) => [domain, ed25519Signer(generateKeyPairSync('ed25519').privateKey)]));
const headDirs = new Map<string, string>();
let sides: Side[] = [];

async function openSide(self: TrustDomain, replica = '1'): Promise<Side> {
  const database = `${self === A ? 'a' : 'b'}_${round}`;
  const url =
    replica === '1' && !headDirs.has(database)
      ? await createDatabase(postgres.url, database)
      : postgres.url.replace(/\/[^/?]*\?/, `/${database}?`);
  headDirs.set(database, join(dir, `heads-${database}`));
  const log = memoryLog();
  const store = await openStore({ url, log, applicationName: `${self} ${replica}` });
  const broker = pki.members.get(self)?.leaves.get('broker');
  const signer = eventKeys.get(self);
  if (broker === undefined || signer === undefined) throw new Error('no identity');
  const chain = readPem(broker.pem, 'CERTIFICATE').map((der) => Buffer.from(der).toString('base64'));
  const trust = {
    roots: [pki.root.certificate],
    crls: ['root', BUS, A, B].map((name) => new Uint8Array(readFileSync(join(pkiDir, 'crls', `${name}.der`)))),
  };
  const { journal, parts } = await openJournal({
    store,
    self,
    peers: [self === A ? B : A],
    signing: () => ({
      signer,
      introduction: {
        chain,
        signer: leafSigner(privateKeyPem(broker.keys.privateKey), broker.certificate),
        notBefore: timestamp.parse('2026-01-01T00:00:00.000Z'),
      },
    }),
    validateChain: chainValidator(() => trust, now),
    headDir: join(dir, `heads-${database}-${replica}`),
    boots: bootsIn(join(dir, `heads-${database}-${replica}`), await bootId()),
    clock: testClock,
    random,
    log,
  });
  const bus = await connectBus(parts, address(self, 'broker'));
  const side = { self, store, journal, parts, bus, log };
  sides.push(side);
  return side;
}

async function closeSide(side: Side): Promise<void> {
  sides = sides.filter((open) => open !== side);
  await side.bus.close();
  await side.journal.close();
  await side.store.close();
}

const wipeStreams = async (): Promise<void> => {
  const connection = await connectNats(operator());
  const manager = await jetstreamManager(connection);
  for (const [publisher, audience] of [
    [A, B],
    [B, A],
  ] as const)
    await manager.streams.delete(ledgerStream(publisher, audience)).catch(() => undefined);
  await connection.close();
};

beforeEach(async () => {
  round += 1;
  await ensureStreams(operator(), { members });
});

afterEach(async () => {
  await Promise.all(sides.map(closeSide));
  await wipeStreams();
});

const publish = async (from: Side, count: number, text = 'event'): Promise<void> => {
  const audience = from.self === A ? B : A;
  const outcomes = await Promise.all(
    Array.from({ length: count }, (_, i) => from.journal.append(audience, decide(refusal(`${text} ${i}`)))),
  );
  expect(outcomes.every(({ ok }) => ok)).toBe(true);
};

const held = async (by: Side, publisher: TrustDomain): Promise<readonly string[]> => {
  const audience = publisher === A ? B : A;
  return (await by.journal.ledger({ publisher, audience })).map(({ digest }) => digest);
};

/** Both sides hold the same two ledgers, and each knows that the other does. */
const settled = async (a: Side, b: Side, timeoutMs = 10_000): Promise<void> => {
  await expect
    .poll(
      async () => {
        const [own, theirs] = await Promise.all([a.journal.peersState(), b.journal.peersState()]);
        return [
          own[0]?.own.head?.digest === theirs[0]?.received.head?.digest,
          theirs[0]?.own.head?.digest === own[0]?.received.head?.digest,
          own[0]?.own.coveredSeq === Number(own[0]?.own.head?.seq ?? 0),
          theirs[0]?.own.coveredSeq === Number(theirs[0]?.own.head?.seq ?? 0),
        ];
      },
      { timeout: timeoutMs, interval: 50 },
    )
    .toEqual([true, true, true, true]);
};

describe('two journals over one bus', () => {
  it('exchange ledgers, and each event comes to be covered by the peer’s signed head, long before a head is sent anyway', async () => {
    const [a, b] = [await openSide(A), await openSide(B)];
    await publish(a, 1);
    await publish(b, 1);
    await settled(a, b, HEAD_EVERY_MS / 3);
    const [, event] = await a.journal.ledger({ publisher: A, audience: B });
    expect(event?.published).toBe('covered');
    const [state] = await a.journal.heads();
    expect(state).toMatchObject({ ackedSeq: 2, readBackSeq: 2, coveredSeq: 2 });
    expect([...a.log.said, ...b.log.said].filter(({ level }) => level === 'warn' || level === 'error')).toEqual([]);
  });

  it('move 500 events each way at once', async () => {
    const [a, b] = [await openSide(A), await openSide(B)];
    const t0 = performance.now();
    await Promise.all([publish(a, 500), publish(b, 500)]);
    const t1 = performance.now();
    await settled(a, b, 30_000);
    process.stderr.write(
      `appended 2 × 500 in ${Math.round(t1 - t0)} ms, settled after ${Math.round(performance.now() - t0)} ms\n`,
    );
  });
});

describe('one CSP with two replicas', () => {
  it('never forks its ledger: 200 events appended by both at once', async () => {
    const [one, two, b] = [await openSide(A), await openSide(A, '2'), await openSide(B)];
    await Promise.all([publish(one, 100, 'one'), publish(two, 100, 'two')]);
    const ledger = await one.journal.ledger({ publisher: A, audience: B });
    expect(ledger.map(({ placement }) => Number(placement.seq))).toEqual(Array.from({ length: 201 }, (_, i) => i + 1));
    expect(ledger.every(({ placement }, i) => i === 0 || placement.prev === ledger[i - 1]?.digest)).toBe(true);
    await settled(one, b);
    expect(await held(b, A)).toEqual(ledger.map(({ digest }) => digest));
  });

  it('both hear of what either places, and the second takes the link over when the first dies', async () => {
    const [one, two, b] = [await openSide(A), await openSide(A, '2'), await openSide(B)];
    const heard: number[] = [];
    two.journal.subscribe((notices) => heard.push(...notices.filter(({ publisher }) => publisher === A).map(({ seq }) => seq)));
    await publish(one, 3);
    await expect.poll(() => heard).toEqual([1, 2, 3, 4]);
    await closeSide(one);
    await publish(two, 3);
    await publish(b, 3);
    await settled(two, b);
  });
});

describe('bad days', () => {
  it('nats-server is killed and comes back: nothing is lost, nothing is twice', async () => {
    const [a, b] = [await openSide(A), await openSide(B)];
    await publish(a, 20, 'before');
    await nats.kill();
    await Promise.all([publish(a, 20, 'during'), publish(b, 20, 'during')]);
    await nats.restart();
    await publish(a, 20, 'after');
    await settled(a, b, 20_000);
    expect(await held(b, A)).toHaveLength(61);
  });

  it('PostgreSQL is killed under both sides: what was decided arrives', async () => {
    const [a, b] = [await openSide(A), await openSide(B)];
    await publish(a, 10);
    const during = Promise.allSettled(Array.from({ length: 40 }, (_, i) => a.journal.append(B, decide(refusal(`during ${i}`)))));
    await postgres.kill();
    // A server that was just killed may still be seen as running by the one that takes its place.
    await expect
      .poll(
        () =>
          postgres.restart().then(
            () => true,
            () => false,
          ),
        { timeout: 60_000 },
      )
      .toBe(true);
    const outcomes = await during;
    await expect
      .poll(
        () =>
          a.journal.append(B, decide(refusal('after'))).then(
            ({ ok }) => ok,
            () => false,
          ),
        { timeout: 60_000 },
      )
      .toBe(true);
    await settled(a, b, 30_000);
    const decided = outcomes.filter(({ status }) => status === 'fulfilled').length;
    // A commit whose answer was lost may have been decided as well.
    expect((await held(b, A)).length).toBeGreaterThanOrEqual(decided + 12);
    expect(await held(b, A)).toEqual(await held(a, A));
  });

  it('a wiped bus is filled again from the outboxes', async () => {
    const [a, b] = [await openSide(A), await openSide(B)];
    await publish(a, 30);
    await settled(a, b);
    await nats.stop();
    rmSync(join(dir, 'nats/jetstream'), { recursive: true });
    await nats.restart();
    await publish(b, 5);
    await ensureStreams(operator(), { members });
    await publish(a, 5);
    await settled(a, b, 30_000);
    const connection = await connectNats(operator());
    const manager = await jetstreamManager(connection);
    await expect
      .poll(async () => (await manager.streams.info(ledgerStream(A, B))).state.messages, { timeout: 15_000 })
      .toBeGreaterThanOrEqual(36);
    await connection.close();
  });

  it('a stream wiped while everybody is connected is noticed by its numbers', async () => {
    const [a, b] = [await openSide(A), await openSide(B)];
    await publish(a, 10);
    await settled(a, b);
    await wipeStreams();
    await ensureStreams(operator(), { members });
    await publish(a, 1);
    await settled(a, b, 20_000);
    expect((await a.journal.heads())[0]).toMatchObject({ ackedSeq: 12, coveredSeq: 12 });
    // What came after the wipe does not stand for what was there before.
    const connection = await connectNats(operator());
    const manager = await jetstreamManager(connection);
    await expect
      .poll(async () => (await manager.streams.info(ledgerStream(A, B))).state.messages, { timeout: 15_000 })
      .toBeGreaterThanOrEqual(12);
    await connection.close();
  });

  it('what the bus withholds is noticed by the signed head, asked for and re-sent', async () => {
    const [a, b] = [await openSide(A), await openSide(B)];
    await publish(a, 5);
    await settled(a, b);
    // The bus goes on, but its consumer for B starts behind what it withheld.
    const connection = await connectNats(operator());
    const manager = await jetstreamManager(connection);
    await manager.consumers.delete(ledgerStream(A, B), 'csp-b_example');
    await publish(a, 50, 'withheld');
    await settled(a, b, 20_000);
    await connection.close();
  });

  it('a database restored behind its head file appends nothing, and heals by challenge', async () => {
    const [a, b] = [await openSide(A), await openSide(B)];
    await publish(a, 8);
    await publish(b, 8);
    await settled(a, b);
    const before = await held(a, A);
    // The restored copy knows neither its own last events nor the peer's.
    await sql`delete from events where seq > 4`.execute(a.store.db);
    for (const publisher of [A, B])
      await sql`update ledgers set head_seq = 4, acked_seq = 0, read_back_seq = 0, covered_seq = 0, head_digest = (select digest from events where publisher = ${publisher} and seq = 4) where publisher = ${publisher}`.execute(
        a.store.db,
      );
    await sql`update peers set own_seq = 0, own_digest = null`.execute(a.store.db);
    await closeSide(a);
    const bus = await withoutBus(b);
    const restored = await openSide(A);
    expect(await restored.journal.append(B, decide(refusal()))).toMatchObject({ ok: false, code: 'LEDGER_QUARANTINED' });
    await bus();
    await expect
      .poll(() => restored.journal.append(B, decide(refusal('healed'))).then(({ ok }) => ok), { timeout: 15_000 })
      .toBe(true);
    const peer = sides.find(({ self }) => self === B);
    if (peer === undefined) throw new Error('B');
    await settled(restored, peer, 15_000);
    expect((await held(restored, A)).slice(0, before.length)).toEqual(before);
  });

  /** The database of this side is what it was when both ledgers ended here. */
  const restore = async ({ self, store: { db } }: Side, seq: number): Promise<void> => {
    await sql`delete from events where seq > ${seq}`.execute(db);
    await sql`update ledgers l set head_seq = ${seq}, acked_seq = 0, read_back_seq = 0, covered_seq = 0, head_digest =
      (select digest from events e where e.publisher = l.publisher and e.seq = ${seq})`.execute(db);
    await sql`update peers set own_seq = 0, own_digest = null where peer <> ${self}`.execute(db);
  };
  const isNobodyAccused = async (...all: readonly Side[]): Promise<void> => {
    for (const { journal } of all) {
      const [state] = await journal.peersState();
      expect(state).toMatchObject({ proofs: [] });
      expect([state?.own.frozen, state?.received.frozen, state?.own.quarantinedAt]).toEqual([undefined, undefined, undefined]);
    }
  };
  const isAcked = async (side: Side, seq: number): Promise<void> => {
    await expect
      .poll(async () => (await side.journal.heads()).find(({ publisher }) => publisher === side.self)?.readBackSeq, {
        timeout: 10_000,
      })
      .toBe(seq);
  };

  it('what the bus withholds while the database is restored comes back from our own files, and does no harm when it comes late', async () => {
    const [a, b] = [await openSide(A), await openSide(B)];
    await publish(a, 4);
    await publish(b, 4);
    await settled(a, b);
    await closeSide(b);
    await publish(a, 3, 'withheld');
    await isAcked(a, 8);
    const connection = await connectNats(operator());
    const manager = await jetstreamManager(connection);
    const stream = ledgerStream(A, B);
    const withheld = [];
    for (let seq = (await manager.streams.info(stream)).state.last_seq; withheld.length < 3; seq--) {
      const message = await manager.streams.getMessage(stream, { seq });
      if (message === null) throw new Error('the bus holds what it acknowledged');
      withheld.push(message);
    }
    await connection.close();
    await wipeStreams();
    await ensureStreams(operator(), { members });
    const before = await held(a, A);
    await restore(a, 5);
    await closeSide(a);
    const restored = await openSide(A);
    expect(await held(restored, A)).toEqual(before);
    expect(await restored.journal.append(B, decide(refusal()))).toMatchObject({ ok: false, code: 'LEDGER_QUARANTINED' });
    const peer = await openSide(B);
    await expect
      .poll(() => restored.journal.append(B, decide(refusal('goes on'))).then(({ ok }) => ok), { timeout: 15_000 })
      .toBe(true);
    await settled(restored, peer, 15_000);
    for (const { subject, data } of withheld) restored.bus.connection.publish(subject, data);
    await publish(restored, 1, 'behind them');
    await settled(restored, peer, 15_000);
    expect((await held(peer, A)).slice(0, 8)).toEqual(before);
    expect(await held(peer, A)).toHaveLength(10);
    await isNobodyAccused(restored, peer);
  });

  it('what only the bus still has of us comes back from there, before the ledger goes on', async () => {
    const [a, b] = [await openSide(A), await openSide(B)];
    await publish(a, 4);
    await publish(b, 4);
    await settled(a, b);
    const connection = await connectNats(operator());
    await (await jetstreamManager(connection)).consumers.delete(ledgerStream(A, B), 'csp-b_example');
    await connection.close();
    await closeSide(b);
    await publish(a, 3, 'held by the bus alone');
    await isAcked(a, 8);
    const before = await held(a, A);
    await restore(a, 5);
    await closeSide(a);
    // As an earlier version left it: where the ledger ends, and no events.
    const file = join(dir, `heads-${`a_${round}`}-1`, 'csp-b_example.head');
    const told = { seq: '8', digest: before.at(-1) };
    writeFileSync(file, JSON.stringify(told));
    const restored = await openSide(A);
    expect(await held(restored, A)).toHaveLength(5);
    const peer = await openSide(B);
    await expect
      .poll(() => restored.journal.append(B, decide(refusal('goes on'))).then(({ ok }) => ok), { timeout: 15_000 })
      .toBe(true);
    await settled(restored, peer, 15_000);
    expect((await held(peer, A)).slice(0, 8)).toEqual(before);
    await isNobodyAccused(restored, peer);
  });

  describe('database and head files are put back together, in the same boot: neither is behind the other', () => {
    const heads = (): string => join(dir, `heads-a_${round}-1`);
    /** They say that this boot has compared what is here with the bus, and stay. */
    const isOfBoot = (name: string): boolean => name === 'boots' || name.endsWith('.boot');

    /** What A was when it had told 5 events, and what it has told since. */
    async function goneOn(): Promise<{ readonly b: Side; readonly told: readonly string[] }> {
      const [a, b] = [await openSide(A), await openSide(B)];
      await publish(a, 4);
      await publish(b, 4);
      await settled(a, b);
      // A checkpoint follows a head by two seconds: none was cosigned yet.
      await sql`delete from checkpoints`.execute(a.store.db);
      await closeSide(a);
      await sql.raw(`create database a_${round}_then template a_${round}`).execute(b.store.db);
      cpSync(heads(), `${heads()}.then`, { recursive: true });
      const on = await openSide(A);
      await publish(on, 4, 'told since');
      await settled(on, b);
      const cosigned = async (): Promise<number | undefined> =>
        (await b.journal.checkpoints()).find(({ publisher }) => publisher === A)?.size;
      await expect.poll(cosigned, { timeout: 10_000 }).toBe(9);
      const told = await held(on, A);
      await closeSide(on);
      return { b, told };
    }

    /** @param when by what keeps the times of files (`rsync -a`), or as if they were new, so that the bus is not asked */
    async function putBack({ store: { db } }: Side, when: Date): Promise<Side> {
      await sql.raw(`drop database a_${round}`).execute(db);
      await sql.raw(`create database a_${round} template a_${round}_then`).execute(db);
      for (const name of readdirSync(heads()).filter((one) => !isOfBoot(one))) rmSync(join(heads(), name));
      for (const name of readdirSync(`${heads()}.then`).filter((one) => !isOfBoot(one)))
        cpSync(join(`${heads()}.then`, name), join(heads(), name));
      for (const name of readdirSync(heads()).filter((one) => !isOfBoot(one))) utimesSync(join(heads(), name), when, when);
      return openSide(A);
    }

    const whyQuarantined = ({ log }: Side): readonly string[] =>
      log.said.flatMap(({ fields }) =>
        'code' in fields && fields.code === 'LEDGER_QUARANTINED' && 'why' in fields ? [String(fields.why)] : [],
      );

    it('files that came back with their times: nothing is decided before the bus has said what was told', async () => {
      const { b, told } = await goneOn();
      const restored = await putBack(b, new Date(Date.now() - 3_600_000));
      expect(await restored.journal.append(B, decide(refusal('at once')))).toMatchObject({ ok: false });
      await expect
        .poll(() => restored.journal.append(B, decide(refusal('goes on'))).then(({ ok }) => ok), { timeout: 15_000 })
        .toBe(true);
      await settled(restored, b, 15_000);
      expect(whyQuarantined(restored)).toEqual([`the bus holds events of ours to ${B} that are not here`]);
      expect((await held(restored, A)).slice(0, 9)).toEqual(told);
      expect(await held(b, A)).toEqual(await held(restored, A));
      await isNobodyAccused(restored, b);
    });

    it('the peer cosigned more than is here: that alone tells, and what was told stands where it stood', async () => {
      const { b, told } = await goneOn();
      const restored = await putBack(b, new Date());
      expect(await held(restored, A)).toEqual(told.slice(0, 5));
      await expect
        .poll(() => whyQuarantined(restored), { timeout: 15_000 })
        .toEqual([`${B} cosigned our checkpoint of 9 events, which is not what is here`]);
      await expect
        .poll(() => restored.journal.append(B, decide(refusal('goes on'))).then(({ ok }) => ok), { timeout: 15_000 })
        .toBe(true);
      await settled(restored, b, 15_000);
      expect((await held(restored, A)).slice(0, 9)).toEqual(told);
      expect(await held(b, A)).toEqual(await held(restored, A));
      expect(await held(b, A)).toHaveLength(10);
      await isNobodyAccused(restored, b);
    });

    // As README.md says: not noticed, and why an operator removes the `.boot` files.
    it('what it decides before the peer is heard is a fork, and the peer keeps what it was told first, and the proof', async () => {
      const { b, told } = await goneOn();
      const restored = await putBack(b, new Date());
      await publish(restored, 1, 'in the place of another');
      const state = async () => (await b.journal.peersState())[0];
      await expect
        .poll(async () => (await state())?.proofs.map(({ code }) => code), { timeout: 15_000 })
        .toContain('LEDGER_FORK');
      expect([(await state())?.received.frozen?.code, await held(b, A)]).toEqual(['LEDGER_FORK', told]);
      expect((await held(restored, A)).slice(0, 5)).toEqual(told.slice(0, 5));
      expect((await held(restored, A))[5]).not.toBe(told[5]);
    });
  });

  it('a database lost altogether comes back from the peer', async () => {
    const [a, b] = [await openSide(A), await openSide(B)];
    await publish(a, 8);
    await publish(b, 8);
    await settled(a, b);
    const before = await held(a, A);
    for (const table of ['events', 'ledgers', 'peers', 'proofs']) await sql.raw(`truncate ${table}`).execute(a.store.db);
    await closeSide(a);
    const restored = await openSide(A);
    await expect
      .poll(() => restored.journal.append(B, decide(refusal('healed'))).then(({ ok }) => ok), { timeout: 15_000 })
      .toBe(true);
    await settled(restored, b, 15_000);
    expect((await held(restored, A)).slice(0, before.length)).toEqual(before);
  });
});

/** Takes one side off the bus; the answer brings it back. */
async function withoutBus(side: Side): Promise<() => Promise<Side>> {
  await closeSide(side);
  return () => openSide(side.self);
}

describe('a hostile user of the bus', () => {
  const refusedBy = async (
    who: BusAddress,
    act: (connection: Awaited<ReturnType<typeof connectNats>>) => Promise<unknown>,
  ): Promise<string> => {
    const connection = await connectNats(who);
    try {
      await act(connection);
      await connection.flush();
      return 'allowed';
    } catch (cause) {
      return cause instanceof Error ? `${cause.name} ${cause.cause instanceof Error ? cause.cause.name : ''}` : String(cause);
    } finally {
      await connection.close();
    }
  };
  const subject = (publisher: TrustDomain, audience: TrustDomain): string =>
    eventSubject({ publisher, audience, type: 'MigrationRefused', migration: newMigration() });

  it('cannot publish into another’s ledger, nor speak as another', async () => {
    const [a, b] = [await openSide(A), await openSide(B)];
    await publish(a, 2);
    await publish(b, 2);
    await settled(a, b);
    const [event] = await a.journal.ledger({ publisher: A, audience: B });
    const before = await Promise.all([held(a, B), held(b, A)]);
    const api = { apiPrefix: 'bus' };
    const intoB = await refusedBy(address(B, 'broker'), (connection) =>
      jetstream(connection, api).publish(subject(A, B), event?.envelope ?? '', { timeout: 1_000 }),
    );
    expect(intoB).toMatch(/PermissionViolation/);
    for (const call of [
      `STREAM.DELETE.${ledgerStream(A, B)}`,
      `STREAM.PURGE.${ledgerStream(B, A)}`,
      `STREAM.MSG.GET.${ledgerStream(A, B)}`,
      `CONSUMER.DELETE.${ledgerStream(A, B)}.csp-b_example`,
      'STREAM.NAMES',
      'INFO',
    ]) {
      const did = await refusedBy(address(B, 'broker'), (connection) =>
        connection.request(`bus.${call}`, '', { timeout: 1_000 }),
      );
      expect(did, call).toMatch(/PermissionViolation/);
      const direct = await refusedBy(address(B, 'broker'), (connection) =>
        connection.request(`$JS.API.${call}`, '', { timeout: 1_000 }),
      );
      expect(direct, call).toMatch(/PermissionViolation/);
    }
    for (const [who, heard] of [
      [address(B, 'broker'), peerSubject(A, B)],
      [address(A, 'agent-h1'), peerSubject(A, B)],
      [address(A, 'agent-h1'), 'host.h2.report'],
    ] as const) {
      const said: string[] = [];
      const connection = await connectNats(who);
      void (async () => {
        for await (const change of connection.status()) if (change.type === 'error') said.push(String(change.error));
      })();
      connection.publish(heard, event?.envelope ?? '');
      await connection.flush();
      await expect.poll(() => said.join(), { timeout: 2_000 }).toMatch(/[Pp]ermission/);
      await connection.close();
    }
    expect(await Promise.all([held(a, B), held(b, A)])).toEqual(before);
  });

  it('gets nothing placed even where the bus itself is on its side', async () => {
    const [a, b] = [await openSide(A), await openSide(B)];
    await publish(a, 3);
    await publish(b, 3);
    await settled(a, b);
    const before = await Promise.all([a.journal.heads(), b.journal.heads()]);
    const [announced, first] = await a.journal.ledger({ publisher: A, audience: B });
    const [foreign] = await b.journal.ledger({ publisher: B, audience: A });
    if (announced === undefined || first === undefined || foreign === undefined) throw new Error('events');
    const connection = await connectNats(operator());
    const client = jetstream(connection);
    const forged = Buffer.from(
      Buffer.from(first.envelope)
        .toString()
        .replace(/"sig":"..../, '"sig":"AAAA'),
    );
    await client.publish(eventSubject(first.placement), forged);
    await client.publish(eventSubject(first.placement), first.envelope);
    await client.publish(subject(A, B), first.envelope);
    await client.publish(subject(A, B), foreign.envelope);
    await client.publish(subject(A, B), 'no envelope');
    const codes = () => b.log.said.flatMap(({ fields }) => ('code' in fields ? [fields.code] : []));
    await expect.poll(codes, { timeout: 5_000 }).toEqual(expect.arrayContaining(['SIGNATURE_INVALID', 'ENVELOPE_MALFORMED']));
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect((await b.journal.heads()).map(({ head }) => head)).toEqual(before[1].map(({ head }) => head));
    expect((await b.journal.peersState())[0]?.proofs).toEqual([]);
    const streams = await jetstreamManager(connection);
    expect((await streams.streams.info(ledgerStream(A, B), { subjects_filter: ledgerSubjects(A, B) })).state.messages).toBe(9);
    await connection.close();
    await publish(a, 1);
    await settled(a, b);
  });

  it('has so many connections and no more, and others keep theirs', async () => {
    const opened = await Promise.allSettled(Array.from({ length: 60 }, () => connectOnce(address(B, 'broker'))));
    const held = opened.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    const refused = opened.flatMap((one) => (one.status === 'rejected' ? [String(one.reason)] : []));
    const other = await connectOnce(address(A, 'broker'));
    expect([held.length > 0, new Set(refused.map((text) => /maximum account active connections/i.test(text)))]).toEqual([
      true,
      new Set([true]),
    ]);
    await Promise.all([...held, other].map((connection) => connection.close()));
  });

  it('a certificate of another authority is not even let in', async () => {
    const keys = rememberedRsaKeys(join(tmpdir(), `carnet-test-keys-${userInfo().uid}`));
    // Shifted by one: the same keys under the same names would be the same authority.
    await keys();
    const other = await createFederationPki({
      dir: join(dir, 'other'),
      domains: members,
      busDomain: BUS,
      nowMs: testClock.nowMs(),
      random,
      keys,
    });
    expect(other.members.size).toBe(2);
    const strange = {
      ...address(A, 'broker'),
      tls: {
        ...address(A, 'broker').tls,
        cert: readFileSync(join(dir, 'other', A, 'broker.pem'), 'utf8'),
        key: readFileSync(join(dir, 'other', A, 'broker.key'), 'utf8'),
      },
    };
    const outcome = await Promise.race([
      connectNats(strange).then(() => 'connected'),
      new Promise((resolve) => setTimeout(() => resolve('kept out'), 2_000)),
    ]);
    expect(outcome).toBe('kept out');
  });
});
