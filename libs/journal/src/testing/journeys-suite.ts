import { MIGRATION_EVENTS_MAX, vmId } from '@carnet/events';
import type { Store } from '@carnet/store';
import { sql } from 'kysely';
import { expect, it } from 'vitest';
import type { Journal, StoredEvent } from '../index.ts';
import { twoJournals } from './two-journals.ts';
import { A, B, C, intent, newMigration, refusal } from './world.ts';

/** Drafts of one append. */
const FLOOD_AT_ONCE = 13;

/** What a journal knows of the journeys of VMs: every database that it stands on passes this. */
export function journeysContract(open: () => Promise<Store>): void {
  const { journals, store, appended, ledgerOf, deliver } = twoJournals(open);
  const [one, two] = ['7a1f', '9b4e'].map((start) => vmId.parse(`csp-a.example/${start}28ba-2fa1-41d2-883f-0016d3cca427`));
  if (one === undefined || two === undefined) throw new Error('two VMs');

  it('are all events of a VM with one peer, whoever opened its attempts', async () => {
    const [first, again, other] = [newMigration(), newMigration(), newMigration()];
    await appended(journals.a, B, intent(one, A, B, first), intent(two, A, B, other), intent(one, A, B, again));
    await appended(journals.a, C, intent(one, A, C));
    await deliver(journals.b, A, await ledgerOf(journals.a));
    await appended(journals.b, A, refusal('no room', [], first));
    await deliver(journals.a, B, await ledgerOf(journals.b, B, A));
    const ofVm = async (from: Journal, peer: typeof A) =>
      (await from.eventsOfVm({ vm: one, peer })).map(({ placement: { publisher, type, migration } }) => [
        publisher,
        type,
        migration,
      ]);
    const expected = [
      [A, 'MigrationIntended', first],
      [A, 'MigrationIntended', again],
      [B, 'MigrationRefused', first],
    ];
    expect(await ofVm(journals.a, B)).toEqual(expected);
    expect(await ofVm(journals.b, A)).toEqual(expected);
    expect(await ofVm(journals.a, C)).toHaveLength(1);
    expect(await journals.b.eventsOfVm({ vm: two, peer: C })).toEqual([]);
    // Also of whom is a peer no more: what was said stays said.
    journals.a.detach(C);
    expect(await Promise.all([one, two].map((vm) => journals.a.peersOfVm(vm)))).toEqual([[B, C], [B]]);
    expect(await journals.b.peersOfVm(one)).toEqual([A]);
  });

  it('are no more than a migration has: what a peer says beyond that, or what its schema refuses, is not read', async () => {
    const migration = newMigration();
    await appended(journals.a, B, intent(one, A, B, migration));
    await deliver(journals.b, A, await ledgerOf(journals.a));
    const refusals = Array.from({ length: FLOOD_AT_ONCE }, () => refusal('no room', [], migration));
    for (let said = 0; said <= MIGRATION_EVENTS_MAX; said += refusals.length) await appended(journals.b, A, ...refusals);
    await deliver(journals.a, B, await ledgerOf(journals.b, B, A));
    await sql`update events set void_code = 'TYPE_UNKNOWN' where publisher = ${B} and seq = 2`.execute(store(0).db);
    const seqs = async (read: Promise<readonly Pick<StoredEvent, 'placement'>[]>) =>
      (await read).filter(({ placement }) => placement.publisher === B).map(({ placement }) => Number(placement.seq));
    const ofVm = await seqs(journals.a.eventsOfVm({ vm: one, peer: B }));
    expect([ofVm.length, ofVm.includes(2), ofVm.at(0)]).toEqual([MIGRATION_EVENTS_MAX, false, 3]);
    expect(await seqs(journals.a.eventsOfMigrations([migration]))).toEqual(ofVm);
    expect(await journals.a.eventsOfVm({ vm: one, peer: B })).toHaveLength(MIGRATION_EVENTS_MAX + 1);
  });

  it('are not read from another event’s envelope, however often they were read before', async () => {
    await appended(journals.a, B, intent(one, A, B), refusal());
    const before = await journals.a.eventsOfVm({ vm: one, peer: B });
    expect(await journals.a.eventsOfVm({ vm: one, peer: B })).toEqual(before);
    await sql`update events set envelope = (select envelope from events where type = 'MigrationRefused') where vm = ${one}`.execute(
      store(0).db,
    );
    await expect(journals.a.eventsOfVm({ vm: one, peer: B })).rejects.toMatchObject({ code: 'LEDGER_BROKEN' });
    await sql`update events set envelope = 'no envelope'::bytea where vm = ${one}`.execute(store(0).db);
    await expect(journals.a.eventsOfVm({ vm: one, peer: B })).rejects.toMatchObject({ code: 'LEDGER_BROKEN' });
  });

  it('end where their last events are, in either ledger', async () => {
    const migration = newMigration();
    const events = await appended(journals.a, B, intent(one, A, B, migration), intent(two, A, B));
    await appended(journals.a, C, intent(one, A, C));
    await deliver(journals.b, A, await ledgerOf(journals.a));
    const [refused] = await appended(journals.b, A, refusal('no room', [], migration));
    await deliver(journals.a, B, await ledgerOf(journals.b, B, A));
    const end = (event: StoredEvent | undefined) => event && { seq: Number(event.placement.seq), digest: event.digest };
    const ends = await journals.a.journeyEnds(undefined);
    expect(ends.filter(({ peer }) => peer === B)).toEqual([
      { vm: one, peer: B, own: end(events[0]), received: end(refused) },
      { vm: two, peer: B, own: end(events[1]), received: undefined },
    ]);
    expect(ends).toHaveLength(3);
    expect(await journals.b.journeyEnds(undefined)).toContainEqual({
      vm: one,
      peer: A,
      own: end(refused),
      received: end(events[0]),
    });
    expect((await journals.a.journeyEnds(one)).map(({ vm }) => vm)).toEqual([two]);
    expect(await journals.a.journeyEnds(two)).toEqual([]);
  });

  it('tell which of them were opened between two positions', async () => {
    const ledger = { publisher: A, audience: B };
    const events = await appended(journals.a, B, intent(one, A, B), refusal(), intent(two, A, B), intent(one, A, B));
    const [first, , , last] = events.map(({ placement }) => Number(placement.seq));
    if (first === undefined || last === undefined) throw new Error('four events');
    const opened = async (after: number, upTo: number) =>
      (await journals.a.opened(ledger, { after, upTo })).toSorted((x, y) => x.seq - y.seq);
    expect(await opened(0, last)).toEqual([
      { vm: two, seq: last - 1 },
      { vm: one, seq: last },
    ]);
    expect(await opened(0, first)).toEqual([{ vm: one, seq: first }]);
    expect(await opened(last, last)).toEqual([]);
  });
}
