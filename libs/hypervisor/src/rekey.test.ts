import { describe, expect, it } from 'vitest';
import { failed } from './codes.ts';
import { fakeNetwork } from './fake/artifacts.ts';
import type { Fault, FaultPlan } from './fake/faults.ts';
import type { FakeHost } from './fake/host.ts';
import { readFakeVolume } from './fake/volumes.ts';
import {
  ask,
  CAPACITY,
  DISK,
  draft,
  first,
  hostA,
  hostB,
  NEW_SECRET,
  NEW_SECRETS,
  NEW_SPEC,
  ofEpoch,
  SECRET,
  SECRETS,
  SPEC,
  secretOf,
  UUID,
  VM,
  VTPM,
} from './testing/drive.ts';
import { createRunning, moves, play } from './testing/journey.ts';

const METHODS = ['slot', 'full'] as const;
const passphraseOf = (fill: number): Uint8Array => Buffer.from(Buffer.alloc(32, fill).toString('hex'));
const [OLD, NEW] = [passphraseOf(7), passphraseOf(8)];

/** A target on which the image has arrived, and its keys with it. */
async function arrived(faults: FaultPlan = () => undefined): Promise<FakeHost> {
  const network = fakeNetwork();
  const [source, target] = [hostA({ network }), hostB({ network, faults })];
  await createRunning({ host: source, name: 'a1' });
  const all = moves('cold', target.leaf, source.leaf);
  const until = all.findIndex(({ on, step }) => on === 'target' && step === 'trialUnlock');
  await play({ source: { host: source, name: 'a1' }, target: { host: target, name: 'b1' } }, all.slice(0, until + 1), 1);
  return target;
}

const volumes = (more: object = {}) => [{ artifact: DISK, capacityBytes: CAPACITY, from: SECRET, to: NEW_SECRET, ...more }];
const rekey = (host: FakeHost, method: string, more: object = {}) =>
  ask(host.agent, 'b1', 'rekey', { method, volumes: volumes(more) }, ofEpoch(1));
const staged = (host: FakeHost): string => host.ports.paths.staged(VM, first, DISK);
const opensWith = async (host: FakeHost, passphrase: Uint8Array): Promise<boolean> =>
  (await host.ports.volumes.unlock(staged(host), passphrase)).ok;
const testimonyIn = (reply: Awaited<ReturnType<typeof rekey>>) =>
  reply.status === 'done' && reply.evidence !== undefined
    ? JSON.parse(Buffer.from(reply.evidence.payload, 'base64').toString('utf8'))
    : undefined;

describe.each(METHODS)('%s', (method) => {
  it('leaves one key slot, which the new passphrase opens and the old one does not; the host testifies to both headers', async () => {
    const host = await arrived();
    const before = await readFakeVolume(host.files, staged(host));
    const reply = await rekey(host, method);
    expect(reply).toMatchObject({ status: 'done', result: { step: 'rekey', method, volumes: [{ artifact: DISK }] } });
    expect([await opensWith(host, NEW), await opensWith(host, OLD)]).toEqual([true, false]);
    const after = await readFakeVolume(host.files, staged(host));
    expect(after?.slots.filter((slot) => slot !== null)).toHaveLength(1);
    expect(after?.volumeKey === before?.volumeKey).toBe(method === 'slot');
    expect(after?.marker).toBe(before?.marker);
    const { kind, facts } = testimonyIn(reply);
    expect([kind, facts.method, facts.artifact0, facts.oldKeysRefused]).toEqual(['rekeyed', method, DISK, true]);
    expect(facts.before0).not.toBe(facts.after0);
    expect(host.files.paths().filter((path) => path.includes('/staging/'))).toEqual([
      staged(host),
      host.ports.paths.staged(VM, first, VTPM),
    ]);
  });

  it('done twice is answered from the log with the very same words; with another key it is another step', async () => {
    const host = await arrived();
    const done = await rekey(host, method);
    const { id: _id, command: _command, ...words } = done;
    host.restart();
    expect(await rekey(host, method)).toMatchObject(words);
    expect(await rekey(host, method, { to: secretOf(SECRET.key, 9) })).toMatchObject({
      status: 'refused',
      code: 'STEP_CONFLICT',
    });
    const start = { spec: NEW_SPEC, vcpus: 'run', secrets: NEW_SECRETS };
    expect(await ask(host.agent, 'b1', 'start', start, ofEpoch(1))).toMatchObject({ status: 'done' });
  });

  it('never opens again with the key that came', async () => {
    const host = await arrived();
    await rekey(host, method);
    const start = { spec: SPEC, vcpus: 'run', secrets: SECRETS };
    expect(await ask(host.agent, 'b1', 'start', start, ofEpoch(1))).toMatchObject({
      status: 'refused',
      code: 'LUKS_DOES_NOT_OPEN',
    });
    expect(host.hypervisor.guest(UUID)).toBeUndefined();
  });

  const EFFECTS = { slot: ['addKey', 'eraseSlot'], full: ['createBlank', 'copyInto'] }[method];
  const FATES: readonly Fault['when'][] = ['before', 'after'];
  it.each(
    EFFECTS.flatMap((effect) => FATES.map((when) => [effect, when] as const)),
  )('%s fails %s it was done: asked again, it is done', async (effect, when) => {
    let left = 1;
    const host = await arrived((operation) =>
      operation === `volumes.${effect}` && left-- > 0 ? { when, setback: failed('TOOL_FAILED') } : undefined,
    );
    expect(await rekey(host, method)).toMatchObject({ status: 'failed', code: 'TOOL_FAILED', retryable: true });
    host.restart();
    expect(await rekey(host, method)).toMatchObject({ status: 'done' });
    expect([await opensWith(host, NEW), await opensWith(host, OLD)]).toEqual([true, false]);
  });

  it('whose tool never answers is cut short when the VM is given back, and nothing is left', async () => {
    const effect = method === 'slot' ? 'volumes.unlock' : 'volumes.copyInto';
    let armed = false;
    const host = await arrived((operation) =>
      armed && operation === effect ? { when: 'never', setback: failed('STEP_ABORTED') } : undefined,
    );
    armed = method === 'full';
    if (method === 'full') {
      const running = await host.agent.handle(draft('b1', 'rekey', { method, volumes: volumes() }, ofEpoch(1)));
      expect(running.status).toBe('running');
    }
    expect(await ask(host.agent, 'b1', 'forswear', {}, ofEpoch(1))).toMatchObject({ status: 'done' });
    expect(await rekey(host, method)).toMatchObject({ status: 'refused', code: 'VM_FORSWORN' });
    expect(await ask(host.agent, 'b1', 'destroy', {}, ofEpoch(1))).toMatchObject({
      status: 'done',
      result: {
        fates: [
          { artifact: DISK, fate: 'header-overwritten' },
          { artifact: VTPM, fate: 'unlinked' },
        ],
      },
    });
    expect(host.files.paths().filter((path) => path.startsWith('/v/'))).toEqual([]);
  });

  it.each<[string, object, string]>([
    ['a key that does not open it', { from: secretOf(SECRET.key, 5) }, 'LUKS_DOES_NOT_OPEN'],
    ['another header than was deposited', { headerDigest: '0'.repeat(64) }, 'HEADER_CHANGED'],
    ['another size', { capacityBytes: CAPACITY * 2 }, 'SPEC_MISMATCH'],
    ['another disk', { artifact: '99999999-9999-4999-8999-999999999999' }, 'ARTIFACT_MISSING'],
  ])('with %s changes nothing', async (_, more, code) => {
    const host = await arrived();
    const before = await readFakeVolume(host.files, staged(host));
    expect(await rekey(host, method, more)).toMatchObject({ status: 'refused', code });
    expect(await readFakeVolume(host.files, staged(host))).toEqual(before);
  });
});

it('slot: what a source hid in another key slot goes with its own', async () => {
  const host = await arrived();
  const hidden = passphraseOf(6);
  await host.ports.volumes.addKey(staged(host), OLD, hidden, 5);
  expect(await rekey(host, 'slot')).toMatchObject({ status: 'done' });
  expect(await opensWith(host, hidden)).toBe(false);
});

it('full: refused by rule where a second copy has no room, so that the VM goes back', async () => {
  const network = fakeNetwork();
  const host = hostB({ network, volumeBytesFree: 40 * 2 ** 20 });
  expect(
    await ask(host.agent, 'b1', 'reserve', { spec: SPEC, mode: 'cold', until: '2030-01-01T00:00:00.000Z' }, ofEpoch(1)),
  ).toMatchObject({ status: 'done' });
  expect(
    await ask(
      host.agent,
      'b1',
      'reserve',
      { spec: SPEC, mode: 'cold', until: '2030-01-01T00:00:00.000Z', rekey: 'full' },
      ofEpoch(1),
    ),
  ).toMatchObject({ status: 'refused', code: 'NO_ROOM' });
});
