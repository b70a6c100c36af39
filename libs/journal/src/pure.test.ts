import { type Digest, hostName, seq, type TrustDomain, trustDomain } from '@carnet/events';
import { sha256Hex } from '@carnet/trust';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { busConfig } from './bus-config.ts';
import { causalOrder } from './causal-order.ts';
import { coveredBy } from './covered.ts';
import { earlyEvents } from './early.ts';
import { EARLY_EVENTS_MAX } from './limits.ts';
import { peek } from './peek.ts';
import { A, B, C } from './testing/world.ts';

const named = (name: string): Digest => sha256Hex(Buffer.from(name));

describe('causalOrder', () => {
  /** A lived history: each step is one side's, and cites any of what the other side had said by then. */
  const lived = fc
    .array(fc.record({ mine: fc.boolean(), cites: fc.array(fc.nat(), { maxLength: 3 }) }), { maxLength: 40 })
    .map((steps) => {
      const events: {
        digest: Digest;
        placement: { publisher: TrustDomain; audience: TrustDomain; seq: ReturnType<typeof seq.parse>; causes: Digest[] };
      }[] = [];
      for (const [i, { mine, cites }] of steps.entries()) {
        const [publisher, audience] = mine ? [A, B] : [B, A];
        const theirs = events.filter(({ placement }) => placement.publisher === audience);
        const position = events.filter(({ placement }) => placement.publisher === publisher).length + 1;
        const causes = cites.flatMap((n) => theirs[n % Math.max(1, theirs.length)]?.digest ?? []);
        events.push({ digest: named(String(i)), placement: { publisher, audience, seq: seq.parse(String(position)), causes } });
      }
      return events;
    });

  it('puts each event after its predecessor and its causes, whichever ledger comes first', () => {
    fc.assert(
      fc.property(lived, fc.boolean(), (events, swap) => {
        const lanes = [A, B].map((publisher) => events.filter(({ placement }) => placement.publisher === publisher));
        const ordered = causalOrder((swap ? lanes.reverse() : lanes).flat());
        const at = new Map(ordered.map(({ digest }, i) => [digest, i]));
        const before = (one: Digest | undefined, two: Digest): boolean =>
          one === undefined || (at.get(one) ?? -1) < (at.get(two) ?? -1);
        return (
          ordered.length === events.length &&
          ordered.every(({ digest, placement }) => placement.causes.every((cause) => before(cause, digest))) &&
          lanes.every((lane) => lane.every((event, i) => before(lane[i - 1]?.digest, event.digest)))
        );
      }),
    );
  });

  it('takes causes outside of the list as given', () => {
    const event = {
      digest: named('x'),
      placement: { publisher: A, audience: B, seq: seq.parse('7'), causes: [named('elsewhere')] },
    };
    expect(causalOrder([event])).toEqual([event]);
  });
});

describe('coveredBy', () => {
  const chain = (length: number) =>
    Array.from({ length }, (_, i) => ({ digest: named(`e${i}`), prev: named(`e${i - 1}`), causes: [] }));

  it('is what the head reaches through the hash chain, in any order of arrival', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 30 }), fc.nat(), fc.integer(), (length, at, seed) => {
        const events = chain(length);
        const shuffled = [...events].sort(
          (one, two) => ((one.digest.charCodeAt(0) * seed) % 7) - ((two.digest.charCodeAt(0) * seed) % 7),
        );
        const head = events[at % length];
        return head !== undefined && coveredBy(head.digest, shuffled).size === (at % length) + 1;
      }),
    );
  });

  it('stops at a break, and knows nothing of a strange head', () => {
    const broken = chain(10).filter((_, i) => i !== 4);
    expect(coveredBy(named('e9'), broken).size).toBe(5);
    expect(coveredBy(named('stranger'), broken).size).toBe(0);
  });
});

describe('peek', () => {
  it('is total on hostile bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => peek(bytes).causes.length === 0));
    const inner = (payload: unknown) =>
      Buffer.from(JSON.stringify({ payload: Buffer.from(JSON.stringify(payload)).toString('base64') }));
    fc.assert(fc.property(fc.jsonValue(), (value) => peek(inner(value)).id === undefined));
  });
});

describe('early events', () => {
  it('are bounded, and the furthest go first', () => {
    const early = earlyEvents();
    const event = { delivery: { envelope: new Uint8Array() }, peek: { digest: named('x'), causes: [] } };
    for (let position = EARLY_EVENTS_MAX + 50; position > 0; position--) early.keep(position, event);
    expect(early.size()).toBe(EARLY_EVENTS_MAX);
    expect(early.at(1)).toBeDefined();
    expect(early.at(EARLY_EVENTS_MAX + 50)).toBeUndefined();
    early.forgetUpTo(EARLY_EVENTS_MAX);
    expect(early.size()).toBe(0);
  });
});

describe('busConfig', () => {
  const config = {
    busDomain: trustDomain.parse('bus.example'),
    members: [
      { domain: A, hosts: [hostName.parse('h1'), hostName.parse('h2')] },
      { domain: B, hosts: [] },
      { domain: C, hosts: [] },
    ],
    tls: { cert: '/c', key: '/k', ca: '/ca' },
  };
  const section = (text: string, domain: TrustDomain): string => {
    const from = text.indexOf(`  "${domain.replace('.', '_')}" {`);
    return text.slice(from, text.indexOf('\n  }', from));
  };

  it('shows to a CSP its own ledgers and those addressed to it, nothing of two others', () => {
    const account = section(busConfig(config), C);
    expect(account).toContain('fed.csp-c_example.csp-a_example.>');
    expect(account).toContain('CONSUMER.MSG.NEXT.fed-csp-a_example-csp-c_example.csp-c_example');
    expect(account).not.toMatch(/csp-a_example[.-]csp-b_example|csp-b_example[.-]csp-a_example/);
  });

  it('never exports an API that creates, changes or destroys', () => {
    expect(busConfig(config)).not.toMatch(
      /STREAM\.(CREATE|UPDATE|DELETE|PURGE)|CONSUMER\.(CREATE|DELETE|DURABLE)|MSG\.DELETE|\$JS\.API\.>/,
    );
  });

  it('leaves pairs out that do not deal with each other', () => {
    const text = busConfig({ ...config, pairs: [[A, B]] });
    expect(text).not.toContain('fed.csp-c_example');
  });

  it('an agent has its own host’s subjects only', () => {
    const agent = busConfig(config)
      .split('\n')
      .find((line) => line.includes('spiffe://csp-a.example/agent/h1'));
    expect(agent).toContain('publish: { allow: ["host.h1.>"] }');
    expect(agent).not.toMatch(/fed|peer|h2|"host\.>"|"_INBOX\.>"/);
  });

  it('a member that is cut off loses its users, broker and agents; nothing else of the configuration is another', () => {
    const [all, without] = [busConfig(config), busConfig({ ...config, cutOff: [A] })].map((text) => text.split('\n'));
    const gone = all?.filter((line) => without?.includes(line) === false);
    expect(gone?.map((line) => /user: "([^"]+)"/.exec(line)?.[1])).toEqual([
      'spiffe://csp-a.example/broker',
      'spiffe://csp-a.example/agent/h1',
      'spiffe://csp-a.example/agent/h2',
    ]);
    expect(without).toEqual(all?.filter((line) => gone?.includes(line) === false));
  });

  it('where members’ own servers call, one that is cut off has nothing left to reach beyond its account', () => {
    const leaves = '127.0.0.1:7422';
    expect(section(busConfig({ ...config, leaves }), A)).toContain('user: "spiffe://csp-a.example/server"');
    const cut = busConfig({ ...config, leaves, cutOff: [A] });
    expect(section(cut, A).match(/user:|stream:|service:/g)).toBeNull();
    expect(section(cut, A)).toContain('imports');
    expect(cut).not.toMatch(/account: "csp-a_example", subject/);
  });

  it('a route is known by its key: no member’s certificate makes it a server of the bus', () => {
    const cluster = {
      node: 'n1',
      listen: '127.0.0.1:6222',
      routes: ['127.0.0.1:6222', '127.0.0.1:6223'],
      keyPins: ['0'.repeat(64)],
    };
    expect(busConfig({ ...config, cluster })).toContain(
      `verify: true, insecure: true, min_version: "1.3", timeout: 5, pinned_certs: ["${'0'.repeat(64)}"]`,
    );
    expect(busConfig({ ...config, cluster })).toContain('sync_interval: always');
    for (const keyPins of [[], ['x']])
      expect(() => busConfig({ ...config, cluster: { ...cluster, keyPins } })).toThrow(RangeError);
  });

  it('refuses a path that would escape its quotes', () => {
    expect(() => busConfig({ ...config, tls: { ...config.tls, cert: '/c" }' } })).toThrow(RangeError);
  });
});
