import { hostName, type Timestamp, timestamp, trustDomain, vmId } from '@carnet/events';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { refused } from '../codes.ts';
import type { RunPermit } from '../command/permit.ts';
import { domainXml } from '../domain-xml.ts';
import { memoryFiles } from '../fake/memory-files.ts';
import { hostPaths } from '../host-paths.ts';
import { START_TICKET_MS } from '../limits.ts';
import { done, setBack } from '../outcome.ts';
import { SPEC, UUID, VM } from '../testing/drive.ts';
import { domainMark } from './domain-mark.ts';
import { encodeEntry, type FenceEntry } from './entry.ts';
import { lookUpDomain } from './hook-facts.ts';
import { type HookFacts, hookQuestion, judgeHook } from './hook-verdict.ts';
import { forbidsRunning } from './moves.ts';
import { encodeTicket } from './ticket.ts';

const NOW = timestamp.parse('2026-11-28T10:00:00.000Z');
const later = (ms: number): Timestamp => timestamp.parse(new Date(Date.parse(NOW) + ms).toISOString());
const HOST = hostName.parse('a1');
const OTHER_VM = vmId.parse('csp-b.example/33333333-3333-4333-8333-333333333333');
const ENTRY: FenceEntry = { vm: VM, epoch: 3, standing: 'mine', vcpus: 'may-run', role: 'target', because: null, time: NOW };
const PERMIT: RunPermit = { host: HOST, vm: VM, epoch: 3, time: NOW };

const facts = (more: Partial<HookFacts> = {}): HookFacts => ({
  host: HOST,
  now: NOW,
  claimed: true,
  register: { kind: 'entry', entry: ENTRY },
  permit: done(PERMIT),
  ticket: undefined,
  ...more,
});
const entry = (more: Partial<FenceEntry>): HookFacts['register'] => ({ kind: 'entry', entry: { ...ENTRY, ...more } });
const code = (question: 'start' | 'reconnect' | 'other', more: Partial<HookFacts>) => judgeHook(question, facts(more))?.code;

describe('what the hook says', () => {
  it.each([
    ['mine, may run, permitted', {}, undefined],
    ['surrendered', { register: entry({ standing: 'surrendered', vcpus: 'held', role: 'source' }) }, 'VM_SURRENDERED'],
    ['never', { register: entry({ standing: 'never', vcpus: 'held' }) }, 'VM_FORSWORN'],
    ['held', { register: entry({ vcpus: 'held' }) }, 'VM_HELD'],
    ['a damaged entry', { register: { kind: 'unreadable' } }, 'FENCE_UNREADABLE'],
    ['a mark or a record, and no entry', { register: { kind: 'none' } }, 'FENCE_UNREADABLE'],
    ['no permit', { permit: undefined }, 'RUN_PERMIT_MISSING'],
    ['a permit that is none', { permit: setBack(refused('RUN_PERMIT_INVALID')) }, 'RUN_PERMIT_INVALID'],
    ['a permit whose signer is revoked', { permit: setBack(refused('RUN_PERMIT_REVOKED')) }, 'RUN_PERMIT_REVOKED'],
    ['a permit of an older epoch', { permit: done({ ...PERMIT, epoch: 2 }) }, 'RUN_PERMIT_MISMATCH'],
    ['a permit of a newer epoch', { permit: done({ ...PERMIT, epoch: 4 }) }, 'RUN_PERMIT_MISMATCH'],
    ['a permit for another host', { permit: done({ ...PERMIT, host: hostName.parse('a2') }) }, 'RUN_PERMIT_MISMATCH'],
    ['a permit for another VM of this UUID', { permit: done({ ...PERMIT, vm: OTHER_VM }) }, 'RUN_PERMIT_MISMATCH'],
    ['nobody of ours', { claimed: false, register: { kind: 'none' }, permit: undefined }, undefined],
  ] satisfies readonly (readonly [string, Partial<HookFacts>, string | undefined])[])('at a start: %s', (_, more, said) => {
    expect(code('start', more)).toBe(said);
  });

  it('a guest that runs is ended for a sound entry that gave it away, and for nothing else', () => {
    expect(code('reconnect', { register: entry({ standing: 'surrendered', vcpus: 'held', role: 'source' }) })).toBe(
      'VM_SURRENDERED',
    );
    expect(code('reconnect', { register: entry({ standing: 'never', vcpus: 'held' }) })).toBe('VM_FORSWORN');
    for (const register of [
      { kind: 'unreadable' },
      { kind: 'none' },
      entry({ vcpus: 'held', role: 'source' }),
      entry({}),
    ] as const)
      expect(code('reconnect', { register, permit: undefined })).toBeUndefined();
  });

  it('asks for what makes a VM run, and for nothing else', () => {
    expect(['prepare', 'start', 'attach'].map(hookQuestion)).toEqual(['start', 'start', 'start']);
    expect(hookQuestion('reconnect')).toBe('reconnect');
    for (const operation of ['restore', 'migrate', 'started', 'stopped', 'release', ''])
      expect(hookQuestion(operation)).toBe('other');
    expect(code('other', { register: entry({ standing: 'surrendered' }) })).toBeUndefined();
  });

  it('a ticket lets the agent’s own start of what is held through, and that alone', () => {
    const ticket = { vm: VM, epoch: 3, until: later(1_000) };
    const held = entry({ vcpus: 'held' });
    expect(code('start', { register: held, ticket })).toBeUndefined();
    expect(code('start', { register: held, ticket, permit: undefined })).toBe('RUN_PERMIT_MISSING');
    for (const wrong of [
      { ...ticket, until: NOW },
      { ...ticket, until: later(START_TICKET_MS + 1) },
      { ...ticket, epoch: 2 },
      { ...ticket, vm: OTHER_VM },
    ])
      expect(code('start', { register: held, ticket: wrong })).toBe('VM_HELD');
    expect(code('start', { register: entry({ vcpus: 'held', role: 'source' }), ticket })).toBeUndefined();
    expect(code('start', { register: entry({ standing: 'surrendered', vcpus: 'held' }), ticket })).toBe('VM_SURRENDERED');
    expect(code('start', { register: entry({ standing: 'never', vcpus: 'held' }), ticket })).toBe('VM_FORSWORN');
  });

  it('whatever it knows: a federated VM starts only with its register, or its own ticket, and its permit', () => {
    const entries = fc.record<FenceEntry>({
      vm: fc.constantFrom(VM, OTHER_VM),
      epoch: fc.integer({ min: 1, max: 2 }),
      standing: fc.constantFrom('mine', 'surrendered', 'never'),
      vcpus: fc.constantFrom('may-run', 'held'),
      role: fc.constantFrom('home', 'source', 'target'),
      because: fc.constant(null),
      time: fc.constant(NOW),
    });
    const anything = fc.record<HookFacts>({
      host: fc.constant(HOST),
      now: fc.constant(NOW),
      claimed: fc.boolean(),
      register: fc.oneof(fc.constant({ kind: 'none' } as const), fc.constant({ kind: 'unreadable' } as const), {
        weight: 6,
        arbitrary: entries.map((one) => ({ kind: 'entry' as const, entry: one })),
      }),
      permit: fc.oneof(
        fc.constant(undefined),
        fc.constant(setBack(refused('RUN_PERMIT_INVALID'))),
        fc
          .record({
            vm: fc.constantFrom(VM, OTHER_VM),
            host: fc.constantFrom(HOST, hostName.parse('a2')),
            epoch: fc.integer({ min: 1, max: 2 }),
          })
          .map((said) => done({ ...said, time: NOW })),
      ),
      ticket: fc.option(
        fc.record({
          vm: fc.constantFrom(VM, OTHER_VM),
          epoch: fc.integer({ min: 1, max: 2 }),
          until: fc.constantFrom(later(-1), later(1_000), later(120_000)),
        }),
        { nil: undefined },
      ),
    });
    let started = 0;
    fc.assert(
      fc.property(anything, (seen) => {
        if (judgeHook('start', seen) !== undefined) return;
        if (!seen.claimed && seen.register.kind === 'none') return;
        started += 1;
        if (seen.register.kind !== 'entry' || seen.permit?.ok !== true) throw new Error('no entry or no permit');
        const { entry: said } = seen.register;
        expect([seen.permit.value.vm, seen.permit.value.epoch, seen.permit.value.host]).toEqual([said.vm, said.epoch, HOST]);
        if (forbidsRunning(said) === undefined) return;
        expect([said.standing, seen.ticket?.vm, seen.ticket?.epoch]).toEqual(['mine', said.vm, said.epoch]);
      }),
      { numRuns: 20_000 },
    );
    expect(started).toBeGreaterThan(20);
  });
});

describe('whose domain it is', () => {
  const definition = {
    vm: VM,
    uuid: UUID,
    spec: SPEC,
    disks: [],
    boot: { kind: 'disk' },
    consolePath: '/v/serial.log',
  } as const;

  it('our own XML has its UUID and our mark', () => {
    expect(domainMark(domainXml(definition, { emulator: '/usr/bin/qemu', accelerator: 'tcg' }))).toEqual({
      uuid: UUID,
      marked: true,
    });
  });

  it('a UUID in any spelling that libvirt takes; only the domain’s own', () => {
    const bare = UUID.replaceAll('-', '').toUpperCase();
    expect(
      domainMark(`<!-- <uuid>x</uuid> --><domain><metadata><uuid>1</uuid></metadata><uuid> ${bare} </uuid></domain>`),
    ).toEqual({
      uuid: UUID,
      marked: false,
    });
  });

  it('any bytes are read without a fault', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string().map((s) => `<domain><uuid>${s}</uuid>`),
        ),
        (xml) => {
          const { uuid, marked } = domainMark(xml);
          expect(marked).toBe(false);
          if (uuid !== undefined) expect(uuid).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
        },
      ),
    );
  });
});

describe('what a host knows', () => {
  const paths = hostPaths({ stateDir: '/s', volumesDir: '/v', tmpfsDir: '/t', bootDir: '/b', importDir: '/i', vtpmDir: '/p' });
  const world = () => {
    const files = memoryFiles({ tmpfs: ['/t'] });
    const broken = new Set<string>();
    const guarded =
      <T>(work: (path: string) => Promise<T>) =>
      async (path: string): Promise<T> => {
        if ([...broken].some((dir) => path.startsWith(dir))) throw new Error('EIO');
        return work(path);
      };
    const store = {
      self: { domain: trustDomain.parse('csp-a.example'), host: HOST },
      files: { read: guarded(files.read), size: guarded(files.size), list: guarded(files.list) },
      paths,
      clock: { now: () => NOW },
      openPermit: async () => done(PERMIT),
    };
    const ask = async (marked: boolean) => judgeHook('start', await lookUpDomain(store, { uuid: UUID, marked }))?.code;
    return { files, broken, ask };
  };
  const sound = async () => {
    const { files, ...rest } = world();
    await files.write(paths.fence(VM), encodeEntry(ENTRY));
    await files.write(paths.permit(VM), Buffer.from('{}'));
    return { files, ...rest };
  };

  it('an empty store knows nobody, and refuses who bears our mark', async () => {
    const { ask } = world();
    expect([await ask(false), await ask(true)]).toEqual([undefined, 'FENCE_UNREADABLE']);
  });

  it('a sound entry and a permit let it start; a torn one, or another VM’s file in its place, do not', async () => {
    const { files, ask } = await sound();
    expect(await ask(false)).toBeUndefined();
    await files.write(
      paths.fence(VM),
      encodeEntry({ ...ENTRY, vm: vmId.parse(`csp-a.example/${'4'.repeat(8)}-4444-4444-8444-444444444444`) }),
    );
    expect(await ask(false)).toBe('FENCE_UNREADABLE');
    await files.write(paths.fence(VM), encodeEntry(ENTRY).subarray(0, 40));
    expect(await ask(false)).toBe('FENCE_UNREADABLE');
  });

  it('a record without an entry is one of us', async () => {
    const { files, ask } = world();
    await files.write(paths.spec(VM), Buffer.from('whatever'));
    expect(await ask(false)).toBe('FENCE_UNREADABLE');
  });

  it('a file that cannot be read refuses its VM; a folder that cannot be read refuses who bears our mark', async () => {
    const { files, broken, ask } = await sound();
    broken.add(paths.fence(VM));
    expect(await ask(false)).toBe('FENCE_UNREADABLE');
    await files.remove(paths.permit(VM));
    broken.clear();
    broken.add('/s');
    expect([await ask(false), await ask(true)]).toEqual([undefined, 'FENCE_UNREADABLE']);
    broken.clear();
    await files.write(paths.permit(VM), Buffer.alloc(70_000));
    expect(await ask(false)).toBe('RUN_PERMIT_INVALID');
  });

  it('a start ticket that is none is none', async () => {
    const { files, ask } = await sound();
    await files.write(paths.fence(VM), encodeEntry({ ...ENTRY, vcpus: 'held' }));
    await files.write(paths.startTicket(VM), Buffer.from('{"vm":1}'));
    expect(await ask(false)).toBe('VM_HELD');
    await files.write(paths.startTicket(VM), encodeTicket({ vm: VM, epoch: 3, until: later(1_000) }));
    expect(await ask(false)).toBeUndefined();
  });
});
