import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HostError } from '../codes.ts';
import type { Artifacts } from '../ports/artifacts.ts';
import type { HostFiles } from '../ports/files.ts';
import type { DomainDefinition, DomainNotice, Hypervisor } from '../ports/hypervisor.ts';
import type { EncryptRaw, Volumes } from '../ports/volumes.ts';
import { savedStateFault } from '../saved-state.ts';

/** What the suite needs of an implementation: an empty host, and a domain that could be defined there. */
export type HypervisorUnderTest = {
  readonly hypervisor: Hypervisor;
  readonly volumes: Volumes;
  readonly files: HostFiles;
  readonly luksPlace: Artifacts['luksPlace'];
  readonly definition: DomainDefinition;
  /** A path on tmpfs. */
  readonly statePath: string;
  /** Beside the disk. */
  readonly otherDisk: string;
  /** Puts a plain file there; `link` a symbolic one to a sound disk. */
  readonly putPlain: (path: string, content: Buffer) => Promise<void>;
  readonly putLink: (path: string, to: string) => Promise<void>;
  readonly capacityBytes: number;
  /** Milliseconds within which a running guest shows on its console. */
  readonly bootMs: number;
  close(): Promise<void>;
};

const passphrase = (letter: string): Uint8Array => Buffer.from(letter.repeat(64));
const RIGHT = passphrase('a');
const WRONG = passphrase('b');

/** A plain disk of text all over, so that no hole hides what was not encrypted. */
const RAW_BYTES = 2_097_152;
const PLAIN = 'clear text ';
const plainDisk = (): Buffer => Buffer.alloc(RAW_BYTES, PLAIN);

/** One suite, run against the fake and against libvirtd: what steps rely on must hold for both. The tests follow each other. */
export function hypervisorContract(name: string, open: () => Promise<HypervisorUnderTest>): void {
  describe(`hypervisor contract: ${name}`, () => {
    let host: HypervisorUnderTest;
    const heard: DomainNotice[] = [];
    const domain = () => host.hypervisor.find(host.definition.uuid);
    const secret = (value: Uint8Array) => ({ key: keyOf(), description: 'contract', value });
    const vtpm = () => {
      if (host.definition.vtpm === undefined) throw new Error('expected a vTPM');
      return host.definition.vtpm;
    };
    const vtpmSecret = (value: Uint8Array) => ({ key: vtpm().key, description: 'contract', value });
    const keyOf = () => {
      const [disk] = host.definition.disks;
      if (disk === undefined) throw new Error('expected a disk');
      return disk.key;
    };
    const diskOf = (): string => host.definition.disks[0]?.path ?? '';
    const setbackOf = (work: Promise<unknown>): Promise<unknown> =>
      work.then(
        () => 'done',
        (cause: unknown) => (cause instanceof HostError ? cause.setback.code : cause),
      );

    beforeAll(async () => {
      host = await open();
      host.hypervisor.subscribe((notice) => void heard.push(notice));
    });
    afterAll(() => host?.close());

    it('an unknown domain: asked for, undone, started', async () => {
      const { hypervisor, definition } = host;
      expect(await domain()).toBeUndefined();
      expect(await hypervisor.list()).toEqual([]);
      await hypervisor.undefine(definition.uuid);
      await hypervisor.powerOff(definition.uuid);
      await hypervisor.requestShutdown(definition.uuid);
      expect(await setbackOf(hypervisor.startHeld(definition.uuid))).toBe('LIBVIRT_FAILED');
      expect(await setbackOf(hypervisor.unpause(definition.uuid))).toBe('LIBVIRT_FAILED');
      expect(hypervisor.connection().connected).toBe(true);
    });

    it('volumes open with their key and no other', async () => {
      const { volumes, capacityBytes, otherDisk } = host;
      await volumes.createBlank(diskOf(), capacityBytes, RIGHT);
      await volumes.createBlank(otherDisk, capacityBytes, WRONG);
      expect(await volumes.unlock(diskOf(), RIGHT)).toMatchObject({ ok: true });
      expect(await volumes.unlock(diskOf(), WRONG)).toMatchObject({ ok: false, setback: { code: 'LUKS_DOES_NOT_OPEN' } });
      const signal = new AbortController().signal;
      const copy = (key: Uint8Array) =>
        volumes.copyInto({ path: diskOf(), passphrase: key }, { path: otherDisk, passphrase: WRONG }, { signal });
      expect(await copy(WRONG)).toMatchObject({ ok: false, setback: { code: 'LUKS_DOES_NOT_OPEN' } });
      expect(await copy(RIGHT)).toMatchObject({ ok: true });
      expect(await volumes.unlock(otherDisk, WRONG)).toMatchObject({ ok: true });
    });

    it('a second passphrase comes into a slot, the first goes with its own; a header that is blanked opens with none', async () => {
      const { volumes, files, capacityBytes, otherDisk, luksPlace } = host;
      const path = `${otherDisk}.slots`;
      const refusal = { ok: false, setback: { status: 'refused', code: 'LUKS_DOES_NOT_OPEN' } };
      await volumes.createBlank(path, capacityBytes, RIGHT);
      expect(await volumes.addKey(path, WRONG, RIGHT, 1)).toMatchObject(refusal);
      expect(await luksPlace(path)).toMatchObject({ value: { activeSlots: [0] } });
      expect(await volumes.addKey(path, RIGHT, WRONG, 3)).toMatchObject({ ok: true });
      for (const key of [RIGHT, WRONG]) expect(await volumes.unlock(path, key)).toMatchObject({ ok: true });
      expect(await luksPlace(path)).toMatchObject({ value: { activeSlots: [0, 3] } });
      expect(await setbackOf(volumes.addKey(path, RIGHT, WRONG, 3))).toBe('TOOL_FAILED');
      expect(await volumes.eraseSlot(path, WRONG, 0)).toMatchObject({ ok: true });
      expect(await volumes.unlock(path, RIGHT)).toMatchObject(refusal);
      expect(await volumes.unlock(path, WRONG)).toMatchObject({ ok: true });
      expect(await setbackOf(volumes.eraseSlot(path, WRONG, 0))).toBe('TOOL_FAILED');
      expect(await setbackOf(volumes.eraseSlot(path, WRONG, 3))).toBe('TOOL_FAILED');
      await files.flush(path);
      const place = await luksPlace(path);
      if (!place.ok) throw new Error('expected a header');
      const size = await files.size(path);
      await files.blank(path, place.value.offset, place.value.bytes);
      expect([await files.size(path), (await luksPlace(path)).ok]).toEqual([size, false]);
      await files.remove(path);
    });

    it('a plain disk becomes an encrypted volume: judged by what it is, within the room there is', async () => {
      const { volumes, otherDisk, putPlain, putLink, files } = host;
      const [from, link, to] = [`${otherDisk}.raw`, `${otherDisk}.link`, `${otherDisk}.made`];
      const seen: number[] = [];
      const encrypt = (more: Partial<EncryptRaw> = {}) =>
        volumes.encryptRaw({
          from,
          to,
          passphrase: RIGHT,
          roomBytes: 2 ** 30,
          onProgress: ({ doneBytes, totalBytes }) => void seen.push(doneBytes / totalBytes),
          signal: new AbortController().signal,
          ...more,
        });
      const refusal = (code: string) => ({ ok: false, setback: { status: 'refused', code } });
      expect(await encrypt()).toMatchObject(refusal('IMPORT_MISSING'));
      await putPlain(from, Buffer.alloc(RAW_BYTES + 1));
      expect(await encrypt()).toMatchObject(refusal('IMPORT_SIZE'));
      await putPlain(from, Buffer.alloc(512));
      expect(await encrypt()).toMatchObject(refusal('IMPORT_SIZE'));
      await putPlain(from, plainDisk());
      await putLink(link, from);
      expect(await encrypt({ from: link })).toMatchObject(refusal('IMPORT_REFUSED'));
      expect(await encrypt({ roomBytes: 4_096 })).toMatchObject(refusal('NO_ROOM'));
      expect(await setbackOf(encrypt({ signal: AbortSignal.abort() }))).toBe('STEP_ABORTED');
      await files.remove(to);
      expect(await encrypt()).toMatchObject({ ok: true });
      expect(seen.at(-1)).toBe(1);
      expect((await files.read(to))?.includes(PLAIN.repeat(8))).toBe(false);
      expect(await volumes.unlock(to, RIGHT)).toMatchObject({ ok: true });
      expect(await volumes.unlock(to, WRONG)).toMatchObject({ ok: false, setback: { code: 'LUKS_DOES_NOT_OPEN' } });
      for (const path of [from, link, to]) await files.remove(path);
    });

    it('a defined domain is off and does not start by itself; defining again replaces', async () => {
      await host.hypervisor.define(host.definition);
      await host.hypervisor.define(host.definition);
      expect(await domain()).toMatchObject({ state: 'shutoff', autostart: false });
      await host.hypervisor.autostartOff(host.definition.uuid);
    });

    it('secrets come and go; a start without or with a wrong one fails closed', async () => {
      const { hypervisor, definition } = host;
      expect(await hypervisor.hasSecret(keyOf())).toBe(false);
      expect(await setbackOf(hypervisor.startHeld(definition.uuid))).toBe('LIBVIRT_FAILED');
      await hypervisor.putSecret(secret(WRONG));
      expect(await hypervisor.hasSecret(keyOf())).toBe(true);
      expect(await setbackOf(hypervisor.startHeld(definition.uuid))).toBe('LIBVIRT_FAILED');
      expect(await domain()).toMatchObject({ state: 'shutoff' });
      await hypervisor.dropSecret(keyOf());
      await hypervisor.dropSecret(keyOf());
      expect(await hypervisor.hasSecret(keyOf())).toBe(false);
      await hypervisor.putSecret(secret(RIGHT));
      expect(await setbackOf(hypervisor.startHeld(definition.uuid))).toBe('LIBVIRT_FAILED');
      await hypervisor.putSecret(vtpmSecret(RIGHT));
    });

    it('starts held, runs when let go, and shows life', async () => {
      const { hypervisor, definition, files } = host;
      await hypervisor.startHeld(definition.uuid);
      const held = await domain();
      expect(held?.state).toBe('paused');
      expect((await files.size(definition.consolePath)) ?? 0).toBe(0);
      await hypervisor.unpause(definition.uuid);
      expect(await setbackOf(hypervisor.unpause(definition.uuid))).toBe('LIBVIRT_FAILED');
      const until = performance.now() + host.bootMs;
      while (((await files.size(definition.consolePath)) ?? 0) === 0 && performance.now() < until) await domain();
      expect((await files.size(definition.consolePath)) ?? 0).toBeGreaterThan(0);
      expect((await domain())?.vcpuTimeMs).toBeGreaterThan(held?.vcpuTimeMs ?? 0);
    });

    it('saves its memory whole, and goes on from it with our own definition', async () => {
      const { hypervisor, definition, files, statePath } = host;
      await hypervisor.save(definition.uuid, statePath);
      expect(await domain()).toMatchObject({ state: 'shutoff', reason: 'saved' });
      expect(savedStateFault(await files.head(statePath, 92))).toBeUndefined();
      await hypervisor.restoreHeld(statePath, definition);
      expect((await domain())?.state).toBe('paused');
      await hypervisor.unpause(definition.uuid);
      expect((await domain())?.state).toBe('running');
    });

    it('a running domain’s disk is copied beside it, and stays or changes over; only one that is ready does', async () => {
      const { hypervisor, volumes, definition, otherDisk, capacityBytes, files } = host;
      const [{ uuid }, path, target] = [definition, `${otherDisk}.copy`, definition.disks[0]?.target ?? ''];
      const ready = async (): Promise<void> => {
        await hypervisor.beginCopy(uuid, { target, path, key: keyOf(), bytesPerSecond: 2 ** 30 });
        const until = performance.now() + host.bootMs;
        while ((await hypervisor.copyState(uuid, target))?.ready !== true && performance.now() < until) await domain();
      };
      await volumes.createBlank(path, capacityBytes, WRONG);
      expect(await hypervisor.copyState(uuid, target)).toBeUndefined();
      expect(await setbackOf(hypervisor.endCopy(uuid, target, 'pivot'))).toBe('LIBVIRT_FAILED');
      await hypervisor.endCopy(uuid, target, 'keep');
      expect(await setbackOf(hypervisor.beginCopy(uuid, { target, path, key: keyOf() }))).toBe('LIBVIRT_FAILED');
      await files.remove(path);
      await volumes.createBlank(path, capacityBytes, RIGHT);
      await ready();
      await hypervisor.endCopy(uuid, target, 'keep');
      expect(await hypervisor.copyState(uuid, target)).toBeUndefined();
      expect(await hypervisor.diskFiles(uuid)).toEqual([diskOf()]);
      await ready();
      expect(await hypervisor.diskFiles(uuid)).toEqual([diskOf()]);
      await hypervisor.pause(uuid);
      await hypervisor.pause(uuid);
      expect(await domain()).toMatchObject({ state: 'paused' });
      await hypervisor.endCopy(uuid, target, 'pivot');
      expect(await hypervisor.copyState(uuid, target)).toBeUndefined();
      expect(await hypervisor.diskFiles(uuid)).toEqual([path]);
      await hypervisor.unpause(uuid);
      await hypervisor.powerOff(uuid);
      expect(await hypervisor.diskFiles(uuid)).toEqual([path]);
      expect(await hypervisor.copyState(uuid, target)).toBeUndefined();
      await hypervisor.define(definition);
      expect(await hypervisor.diskFiles(uuid)).toEqual([diskOf()]);
      await hypervisor.startHeld(uuid);
    });

    it('keeps the state of its vTPM when its definition goes, encrypted: another secret does not open it', async () => {
      const { hypervisor, definition, files } = host;
      const { statePath } = vtpm();
      await hypervisor.powerOff(definition.uuid);
      expect((await files.size(statePath)) ?? 0).toBeGreaterThan(0);
      await hypervisor.undefine(definition.uuid);
      expect((await files.size(statePath)) ?? 0).toBeGreaterThan(0);
      await hypervisor.define(definition);
      await hypervisor.putSecret(vtpmSecret(WRONG));
      expect(await setbackOf(hypervisor.startHeld(definition.uuid))).toBe('LIBVIRT_FAILED');
      await hypervisor.putSecret(vtpmSecret(RIGHT));
      await hypervisor.startHeld(definition.uuid);
      await hypervisor.unpause(definition.uuid);
      expect((await domain())?.state).toBe('running');
    });

    it('power off is off, twice; then nothing is left', async () => {
      const { hypervisor, definition } = host;
      await hypervisor.powerOff(definition.uuid);
      await hypervisor.powerOff(definition.uuid);
      expect((await domain())?.state).toBe('shutoff');
      await hypervisor.undefine(definition.uuid);
      for (const key of [keyOf(), vtpm().key]) await hypervisor.dropSecret(key);
      expect(await domain()).toBeUndefined();
      expect(heard.map(({ event }) => event)).toEqual(
        expect.arrayContaining(['defined', 'started', 'resumed', 'stopped', 'undefined']),
      );
    });
  });
}
