import { digest, trustDomain, vmId } from '@carnet/events';
import { createMetrics } from '@carnet/runtime';
import { initialJourney } from '@carnet/saga';
import { describe, expect, it } from 'vitest';
import type { Here } from './here.ts';
import { type BrokerLoopPorts, loopPorts } from './loop-ports.ts';

const SELF = trustDomain.parse('csp-b.example');
const PEER = trustDomain.parse('csp-a.example');
const VM = vmId.parse('csp-a.example/9b4e28ba-2fa1-41d2-883f-0016d3cca401');
const KEY = { vm: VM, peer: PEER };
const ENDS = { ...KEY, own: { seq: 1, digest: digest.parse('a'.repeat(64)) }, received: undefined };

/** A broker with one journey, in which nothing is owed. `here`: what is to be said of its VM, look after look. */
function portsWith(here: Here[]): BrokerLoopPorts {
  const none = async (): Promise<readonly never[]> => [];
  const nothing = { execute: none, executeTakeFirst: async () => undefined };
  const query: object = new Proxy(nothing, { get: (of, name) => Reflect.get(of, name) ?? (() => query) });
  const ports = {
    self: SELF,
    store: { db: query },
    journal: { peers: [PEER], keep: async () => undefined, heads: none, opened: none, journeyEnds: none },
    ledgers: { foldedTo: async () => ({ journey: initialJourney(VM), ends: ENDS, cameHome: false }) },
    views: { record: async () => undefined },
    keys: { unendedOf: none, undestroyedOf: none, stillHoldingOf: none, undiscardedOf: none, eraseSpares: none },
    here: async () => here.shift() ?? { kind: 'whole' },
    nowMs: () => 0,
    metrics: createMetrics(),
  };
  return ports as unknown as BrokerLoopPorts;
}

describe('a journey in which nothing is owed', () => {
  it('is looked at again while what is here waits for the rest of our ledgers, and then no more', async () => {
    const { open, owed } = loopPorts(portsWith([{ kind: 'whole' }, { kind: 'later' }]));
    await owed(KEY);
    expect(await open()).toEqual([]);
    // Noticed by an event that is no intent: a database that came back gets its ledgers from the peers.
    expect((await owed(KEY)).open).toBe(false);
    expect(await open()).toEqual([KEY]);
    await owed(KEY);
    expect(await open()).toEqual([]);
  });
});
