import type { OpenAmounts } from '@carnet/events';
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

const amounts = (n: number): OpenAmounts => ({ migrations: n, memoryMiB: 256 * n, diskBytes: 11 * n });
/** So many are open from that peer, and to it. */
type Open = Readonly<Record<string, readonly [fromPeer: number, toPeer: number]>>;

/** Of C, host-1 has level 2 and is up or not; what is open is as it is said. */
const gateWith = (open: Open, hostsUp: readonly string[] = ['host-1']) =>
  openPolicyGate({
    self: A,
    set: setOf(RULES),
    counts: openCounts({
      countOpen: async (peer) => {
        const [fromPeer, toPeer] = open[peer] ?? [0, 0];
        return { fromPeer: amounts(fromPeer), toPeer: amounts(toPeer) };
      },
    }),
    peers: [B, C],
    hosts: ['host-1', 'host-2'],
    hostsUp: () => hostsUp,
    now: () => MONDAY,
  });
const codes = (decision: { readonly reasons: readonly { readonly code: string }[] }) => decision.reasons.map(({ code }) => code);

describe('facts of the moment', () => {
  const intent = intentOf();
  it('what is open with that peer, in that direction', async () => {
    const decision = await gateWith({ [B]: [5, 1], [C]: [9, 9] }).asSource(intent, migration(9));
    expect([decision.asked.open, codes(decision)]).toEqual([amounts(1), ['ALLOWED']]);
    expect(codes(await gateWith({ [B]: [0, 2] }).asSource(intent, migration(9)))).toEqual(['QUOTA_EXCEEDED']);
    const back = intentOf({ source: B, target: A });
    expect(codes(await gateWith({ [B]: [1, 0] }).asTarget(back, migration(9)))).toEqual(['QUOTA_EXCEEDED']);
    expect(codes(await gateWith({ [B]: [0, 9] }).asTarget(back, migration(9)))).toEqual(['ALLOWED']);
  });

  it('the level of hosts that are up', async () => {
    const high = intentOf({ source: B, target: A, spec: specWith({}, { level: 2 }) });
    expect(codes(await gateWith({}).asTarget(high, migration(9)))).toEqual(['ALLOWED']);
    const down = gateWith({}, ['host-2']);
    expect([codes(await down.asTarget(high, migration(9))), down.highestLevel()]).toEqual([['LEVEL_TOO_LOW'], 2]);
  });
});

describe('alternatives', () => {
  it('are the other peers that the same policies allow', async () => {
    const high = intentOf({ spec: specWith({}, { level: 2 }) });
    expect(await gateWith({}).alternatives(high, migration(9))).toEqual([
      { code: 'ALTERNATIVE', text: 'csp-c.example: The same policies would allow this target.' },
    ]);
    expect(await gateWith({}).alternatives(intentOf({ spec: specWith({}, { legalHold: true }) }), migration(9))).toEqual([]);
  });
});
