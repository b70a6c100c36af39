import type { MigrationRow } from '@carnet/views';
import { describe, expect, it } from 'vitest';
import { A, B, C, intentOf, MONDAY, setOf, specWith } from '../../../libs/policy/src/testing.ts';
import { migration } from '../../../libs/saga/src/testing.ts';
import { openCounts } from './open-counts.ts';
import { openPolicyGate } from './policy-gate.ts';

const RULES = `@id("all") permit (principal, action, resource);
@id("memory") @reason("QUOTA_EXCEEDED")
forbid (principal, action == Action::"send", resource) when { context.open.memoryMiB + resource.memoryMiB > 512 };
@id("disk") @reason("QUOTA_EXCEEDED")
forbid (principal, action == Action::"receive", resource) when { context.open.diskBytes > 10 };`;

const row = (n: number, source: string, target: string): MigrationRow =>
  ({ migration: migration(n), source, target, memoryMiB: 256, diskBytes: 11 }) as unknown as MigrationRow;

/** Of C, host-1 has level 2 and is up or not; what is open is as it is said. */
const gateWith = (open: readonly MigrationRow[], hostsUp: readonly string[] = ['host-1']) =>
  openPolicyGate({
    set: setOf(RULES),
    counts: openCounts({ list: async () => open }),
    peers: [B, C],
    hosts: ['host-1', 'host-2'],
    hostsUp: () => hostsUp,
    now: () => MONDAY,
  });
const codes = (decision: { readonly reasons: readonly { readonly code: string }[] }) => decision.reasons.map(({ code }) => code);

describe('facts of the moment', () => {
  const intent = intentOf();
  it('what is open with that peer, in that direction, without this one', async () => {
    const open = [row(1, A, B), row(2, A, C), row(3, B, A)];
    const decision = await gateWith(open).asSource(intent, migration(9));
    expect(decision.asked.open).toEqual({ migrations: 1, memoryMiB: 256, diskBytes: 11 });
    expect([codes(decision), codes(await gateWith([...open, row(4, A, B)]).asSource(intent, migration(9)))]).toEqual([
      ['ALLOWED'],
      ['QUOTA_EXCEEDED'],
    ]);
    expect((await gateWith(open).asSource(intent, migration(1))).asked.open.migrations).toBe(0);
    const back = intentOf({ source: B, target: A });
    expect(codes(await gateWith(open).asTarget(back, migration(9)))).toEqual(['QUOTA_EXCEEDED']);
    expect(codes(await gateWith([]).asTarget(back, migration(9)))).toEqual(['ALLOWED']);
  });

  it('the level of hosts that are up', async () => {
    const high = intentOf({ source: B, target: A, spec: specWith({}, { level: 2 }) });
    expect(codes(await gateWith([]).asTarget(high, migration(9)))).toEqual(['ALLOWED']);
    const down = gateWith([], ['host-2']);
    expect([codes(await down.asTarget(high, migration(9))), down.highestLevel()]).toEqual([['LEVEL_TOO_LOW'], 2]);
  });
});

describe('alternatives', () => {
  it('are the other peers that the same policies allow', async () => {
    const high = intentOf({ spec: specWith({}, { level: 2 }) });
    expect(await gateWith([]).alternatives(high, migration(9))).toEqual([
      { code: 'ALTERNATIVE', text: 'csp-c.example: The same policies would allow this target.' },
    ]);
    expect(await gateWith([]).alternatives(intentOf({ spec: specWith({}, { legalHold: true }) }), migration(9))).toEqual([]);
  });
});
