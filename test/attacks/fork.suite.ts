import { eventually } from '@carnet/dev';
import { beforeAll, describe, expect, it } from 'vitest';
import { rowsOf } from '../faults/harness/ledger-db.ts';
import { intentOf } from '../faults/harness/moves.ts';
import { clouds, saysOnce } from './rig.ts';
import { payloadOf } from './rogue-peer.ts';
import { rogue, stays, turnRogue } from './rogue-rig.ts';

/** Last: each of these freezes new work with B for good. */
describe('a peer that can be convicted', () => {
  beforeAll(turnRogue);

  const isFrozen = async (code: string): Promise<void> => {
    const { a } = clouds;
    const proofs = () => rowsOf(a.database, 'select code from proofs where code = $1', [code]);
    await eventually('the proof', async () => ((await proofs()).length > 0 ? true : undefined), 10_000);
    const refused = await a.api.post('/v1/intents', intentOf(stays.vm, 'csp-b.example', 'cold'));
    expect(refused).toMatchObject({ ok: false, code: 'LEDGER_FROZEN' });
    expect(a.host.domain(stays.uuid)?.state).toBe('running');
  };

  it('by two events at one position: the proof is kept, nothing new is begun with it, and our VM runs on', async () => {
    const next = await rogue.intended();
    const seq = Number(next['seq']) - 1;
    const twin = { ...next, seq: String(seq), prev: payloadOf((await rogue.old(seq)).envelope)['prev'] };
    await saysOnce('brokerLog', '"code":"LEDGER_FORK"', () => rogue.fire(rogue.sign(twin)));
    await isFrozen('LEDGER_FORK');
  });

  it('by an event that relies on one of ours that never was', async () => {
    const cause = 'c0'.repeat(32);
    const shot = rogue.sign({ ...(await rogue.intended()), causes: [cause] });
    await saysOnce('brokerLog', '"code":"CAUSE_UNKNOWN"', () => rogue.fire(shot));
    await isFrozen('CAUSE_UNKNOWN');
  });
});
