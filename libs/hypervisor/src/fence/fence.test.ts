import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { memoryFiles } from '../fake/memory-files.ts';
import { hostPaths } from '../host-paths.ts';
import { BECAUSE, quickClock, VM } from '../testing/drive.ts';
import { decodeEntry, encodeEntry, type FenceEntry } from './entry.ts';
import { type FenceMove, forbidsRunning, moveFence } from './moves.ts';
import { openFenceRegister } from './register.ts';

const context = { vm: VM, because: BECAUSE, time: quickClock.now() };
const epochs = fc.integer({ min: 1, max: 4 });
const anyMove: fc.Arbitrary<FenceMove> = fc.oneof(
  fc.constant<FenceMove>({ kind: 'enroll' }),
  epochs.map((epoch): FenceMove => ({ kind: 'hold', epoch })),
  epochs.map((epoch): FenceMove => ({ kind: 'surrender', epoch })),
  fc.record({
    kind: fc.constant('reopen' as const),
    epoch: epochs,
    proof: fc.constantFrom('withdrawn' as const, 'relinquished' as const),
  }),
  epochs.map((epoch): FenceMove => ({ kind: 'admit', epoch })),
  epochs.map((epoch): FenceMove => ({ kind: 'letGo', epoch })),
  epochs.map((epoch): FenceMove => ({ kind: 'forswear', epoch })),
  epochs.map((epoch): FenceMove => ({ kind: 'standDown', epoch })),
  fc.record({ kind: fc.constant('breakGlass' as const), epoch: epochs, surrendered: epochs }),
);
const walk = (
  moves: readonly FenceMove[],
  visit: (from: FenceEntry | undefined, move: FenceMove, to: FenceEntry) => void,
): void => {
  let at: FenceEntry | undefined;
  for (const move of moves) {
    const to = moveFence(at, move, context);
    if (!to.ok) continue;
    visit(at, move, to.value);
    at = to.value;
  }
};

describe('fence moves', () => {
  it('epochs never fall, and an older epoch moves nothing', () => {
    fc.assert(
      fc.property(fc.array(anyMove, { maxLength: 30 }), (moves) =>
        walk(moves, (from, _, to) => {
          expect(to.epoch).toBeGreaterThanOrEqual(from?.epoch ?? 0);
        }),
      ),
    );
  });

  const entry = (of: Partial<FenceEntry>): FenceEntry => ({
    ...context,
    epoch: 2,
    standing: 'surrendered',
    vcpus: 'held',
    role: 'source',
    ...of,
  });

  it.each<readonly [string, FenceEntry | undefined, FenceMove, string]>([
    ['no entry', undefined, { kind: 'breakGlass', epoch: 3, surrendered: 2 }, 'VM_NOT_HERE'],
    ['another surrender', entry({}), { kind: 'breakGlass', epoch: 4, surrendered: 3 }, 'NOT_SURRENDERED'],
    ['no higher epoch', entry({}), { kind: 'breakGlass', epoch: 2, surrendered: 2 }, 'NOT_SURRENDERED'],
    ['a target', entry({ role: 'target' }), { kind: 'breakGlass', epoch: 3, surrendered: 2 }, 'VM_NOT_HERE'],
    ['no surrender', entry({ standing: 'mine' }), { kind: 'breakGlass', epoch: 3, surrendered: 2 }, 'NOT_SURRENDERED'],
  ])('breaks no glass with %s', (_, from, move, code) => {
    expect(moveFence(from, move, context)).toMatchObject({ ok: false, setback: { code } });
  });

  it('a broken glass opens the higher epoch, once, and what is late of the old one is refused', () => {
    const opened = moveFence(entry({}), { kind: 'breakGlass', epoch: 3, surrendered: 2 }, context);
    if (!opened.ok) throw new Error(opened.setback.code);
    expect(opened.value).toMatchObject({ epoch: 3, standing: 'mine', vcpus: 'held', role: 'source' });
    expect(moveFence(opened.value, { kind: 'breakGlass', epoch: 3, surrendered: 2 }, context)).toEqual(opened);
    expect(moveFence(opened.value, { kind: 'surrender', epoch: 2 }, context)).toMatchObject({
      setback: { code: 'EPOCH_FENCED' },
    });
  });

  it.each<readonly [string, FenceEntry | undefined]>([
    ['ran', entry({ standing: 'mine', vcpus: 'may-run', role: 'target' })],
    ['arrived', entry({ standing: 'mine', vcpus: 'held', role: 'target' })],
    ['never came', undefined],
  ])('a copy that %s stands down for ever: neither started again nor sworn never to have run', (_, from) => {
    const stood = moveFence(from, { kind: 'standDown', epoch: 2 }, context);
    if (!stood.ok) throw new Error(stood.setback.code);
    expect(forbidsRunning(stood.value)?.code).toBe('VM_SURRENDERED');
    const refusals = (['admit', 'letGo', 'forswear'] as const).map(
      (kind) => moveFence(stood.value, { kind, epoch: 2 }, context).ok,
    );
    expect(refusals).toEqual([false, false, false]);
  });

  it('a surrender ends only by the peer’s relinquishment, a broken glass of a higher epoch, or by coming back in a newer epoch', () => {
    fc.assert(
      fc.property(fc.array(anyMove, { maxLength: 30 }), (moves) =>
        walk(moves, (from, move, to) => {
          if (from?.standing !== 'surrendered' || to.standing === 'surrendered') return;
          const isProven = move.kind === 'reopen' && move.proof === 'relinquished' && move.epoch === from.epoch;
          const isNewer = (move.kind === 'admit' || move.kind === 'forswear') && move.epoch > from.epoch;
          const isBroken =
            move.kind === 'breakGlass' && from.role === 'source' && move.surrendered === from.epoch && move.epoch > from.epoch;
          expect(isProven || isNewer || isBroken).toBe(true);
        }),
      ),
    );
  });

  it('never stays never within its epoch, and follows no vCPU that may have run', () => {
    fc.assert(
      fc.property(fc.array(anyMove, { maxLength: 30 }), (moves) =>
        walk(moves, (from, _, to) => {
          if (from?.standing === 'never' && to.epoch === from.epoch) expect(to).toEqual(from);
          if (to.standing === 'never' && from?.epoch === to.epoch) expect(from.vcpus).toBe('held');
        }),
      ),
    );
  });

  it('only enroll and letGo permit running', () => {
    fc.assert(
      fc.property(fc.array(anyMove, { maxLength: 30 }), (moves) =>
        walk(moves, (from, move, to) => {
          if (forbidsRunning(to) === undefined && (from === undefined || forbidsRunning(from) !== undefined)) {
            expect(['enroll', 'letGo']).toContain(move.kind);
          }
        }),
      ),
    );
  });

  it('made twice is made once', () => {
    fc.assert(
      fc.property(fc.array(anyMove, { maxLength: 30 }), (moves) =>
        walk(moves, (_, move, to) => {
          if (move.kind !== 'enroll')
            expect(moveFence(to, move, context)).toMatchObject({
              ok: true,
              value: { epoch: to.epoch, standing: to.standing, vcpus: to.vcpus },
            });
        }),
      ),
    );
  });

  it.each<[string, readonly FenceMove[], 'held' | 'may-run']>([
    [
      'stopped',
      [
        { kind: 'hold', epoch: 1 },
        { kind: 'reopen', epoch: 1, proof: 'withdrawn' },
      ],
      'held',
    ],
    [
      'given back',
      [
        { kind: 'hold', epoch: 1 },
        { kind: 'surrender', epoch: 1 },
        { kind: 'reopen', epoch: 1, proof: 'relinquished' },
      ],
      'held',
    ],
    ['never stopped', [{ kind: 'reopen', epoch: 1, proof: 'withdrawn' }], 'may-run'],
    [
      'let go',
      [
        { kind: 'hold', epoch: 1 },
        { kind: 'reopen', epoch: 1, proof: 'withdrawn' },
        { kind: 'letGo', epoch: 1 },
        { kind: 'reopen', epoch: 1, proof: 'withdrawn' },
      ],
      'may-run',
    ],
  ])('a source that is its own again, and was %s', (_, moves, vcpus) => {
    const enrolled = moveFence(undefined, { kind: 'enroll' }, context);
    const last = moves.reduce((at, move) => (at.ok ? moveFence(at.value, move, context) : at), enrolled);
    expect(last).toMatchObject({ ok: true, value: { epoch: 1, standing: 'mine', vcpus, role: 'source' } });
  });

  it.each<[string, readonly FenceMove[], FenceMove, string]>([
    ['holding an unknown VM', [], { kind: 'hold', epoch: 1 }, 'VM_NOT_HERE'],
    [
      'holding twice in one epoch after a resume',
      [
        { kind: 'enroll' },
        { kind: 'hold', epoch: 1 },
        { kind: 'reopen', epoch: 1, proof: 'withdrawn' },
        { kind: 'letGo', epoch: 1 },
      ],
      { kind: 'hold', epoch: 1 },
      'EPOCH_FENCED',
    ],
    ['surrendering what runs', [{ kind: 'enroll' }], { kind: 'surrender', epoch: 1 }, 'VM_RUNNING'],
    ['admitting what is here', [{ kind: 'enroll' }], { kind: 'admit', epoch: 1 }, 'VM_PRESENT'],
    ['forswearing what is here', [{ kind: 'enroll' }], { kind: 'forswear', epoch: 1 }, 'VM_PRESENT'],
    [
      'forswearing after letting go',
      [
        { kind: 'admit', epoch: 1 },
        { kind: 'letGo', epoch: 1 },
      ],
      { kind: 'forswear', epoch: 1 },
      'VM_MAY_HAVE_RUN',
    ],
    ['letting go what was forsworn', [{ kind: 'forswear', epoch: 1 }], { kind: 'letGo', epoch: 1 }, 'VM_FORSWORN'],
    [
      'letting go what was given away',
      [{ kind: 'enroll' }, { kind: 'hold', epoch: 1 }, { kind: 'surrender', epoch: 1 }],
      { kind: 'letGo', epoch: 1 },
      'VM_SURRENDERED',
    ],
    ['letting go what never moved', [{ kind: 'enroll' }], { kind: 'letGo', epoch: 0 }, 'VM_NOT_HERE'],
    ['admitting what was forsworn', [{ kind: 'forswear', epoch: 1 }], { kind: 'admit', epoch: 1 }, 'VM_FORSWORN'],
    ['reopening at a target', [{ kind: 'admit', epoch: 1 }], { kind: 'reopen', epoch: 1, proof: 'relinquished' }, 'VM_NOT_HERE'],
    ['an older epoch', [{ kind: 'admit', epoch: 3 }], { kind: 'forswear', epoch: 2 }, 'EPOCH_FENCED'],
  ])('refuses %s', (_, before, move, code) => {
    let at: FenceEntry | undefined;
    for (const one of before) {
      const to = moveFence(at, one, context);
      if (to.ok) at = to.value;
    }
    expect(moveFence(at, move, context)).toMatchObject({ ok: false, setback: { code } });
  });
});

describe('the register on disk', () => {
  const paths = hostPaths({ stateDir: '/s', volumesDir: '/v', tmpfsDir: '/t', bootDir: '/b', importDir: '/i', vtpmDir: '/p' });
  const open = () => {
    const files = memoryFiles({ tmpfs: [] });
    return { files, register: openFenceRegister(files, paths) };
  };

  it('survives its process', async () => {
    const { files, register } = open();
    await register.move({ kind: 'admit', epoch: 2 }, context);
    const again = await openFenceRegister(files, paths).read(VM);
    expect(again).toMatchObject({ ok: true, value: { epoch: 2, standing: 'mine', vcpus: 'held', role: 'target' } });
  });

  it('a changed byte is damage, and damage moves nothing', async () => {
    const entry: FenceEntry = {
      vm: VM,
      epoch: 2,
      standing: 'surrendered',
      vcpus: 'held',
      role: 'source',
      because: BECAUSE,
      time: quickClock.now(),
    };
    const bytes = Buffer.from(encodeEntry(entry));
    expect(decodeEntry(bytes)).toEqual(entry);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: bytes.length - 2 }), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const changed = Buffer.from(bytes);
        changed[at] = (changed[at] ?? 0) ^ flip;
        const read = decodeEntry(changed);
        expect(read === undefined || JSON.stringify(read) === JSON.stringify(entry)).toBe(true);
      }),
    );
    const { files, register } = open();
    await files.write(paths.fence(VM), bytes.subarray(0, 40));
    expect(await register.move({ kind: 'admit', epoch: 9 }, context)).toMatchObject({
      ok: false,
      setback: { code: 'FENCE_UNREADABLE' },
    });
  });

  it('another VM’s entry under this name is damage, too', async () => {
    const { files, register } = open();
    await register.move({ kind: 'admit', epoch: 2 }, context);
    const other = VM.replace('csp-a', 'csp-b') as typeof VM;
    expect(await openFenceRegister(files, paths).read(other)).toMatchObject({ ok: false, setback: { code: 'FENCE_UNREADABLE' } });
  });

  it('forgets only a VM that never left home', async () => {
    const { files, register } = open();
    await register.move({ kind: 'enroll' }, context);
    await register.forget(VM);
    expect(files.paths()).toEqual([]);
    await register.move({ kind: 'admit', epoch: 1 }, context);
    await register.forget(VM);
    expect(files.paths()).toEqual([paths.fence(VM)]);
  });
});
