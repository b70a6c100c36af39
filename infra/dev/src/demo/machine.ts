import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, fstatSync, ftruncateSync, openSync, readFileSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Guest } from '../guest.ts';
import { own } from '../scratch.ts';
import { repositoryRoot, systemTool } from '../tools.ts';
import type { Screen } from './screen.ts';
import { type Side, unwrapped } from './sides.ts';
import { consoleOf, leftAt, tickAfter, virshList } from './witnesses.ts';

export type Claim = { readonly text: string; readonly holds: boolean };

const GUEST_MEMORY_MIB = 256;
const DISK_BYTES = 67_108_864;
/** What the plain image holds, and where: a sector that the guest never writes. */
const PLAIN_TEXT = 'carnet demo: a sector of the plain image';
const PLAIN_TEXT_AT = 33_554_432;
/** Emulated, on a busy machine. */
const BOOT_MS_MAX = 60_000;
/** Ticks before the first move: the guest has surely written its marker. */
const TICKS_FIRST = 10;

/** An operator's own disk, in clear, in the host's import folder: it becomes an encrypted image under a key of the key manager. */
export async function registerImage(
  screen: Screen,
  { csp, broker }: Side,
): Promise<{ readonly name: string; readonly claims: readonly Claim[] }> {
  screen.heading(`${csp.plan.domain}: a plain raw disk becomes an encrypted image`);
  const [name, file] = ['tiny', 'tiny.raw'];
  const path = join(csp.paths.imports, file);
  putPlainDisk(path);
  own(path, csp.as);
  unwrapped(await broker.act('POST', '/v1/images', { name, file }));
  const { verified } = unwrapped(await broker.act<{ readonly verified: boolean }>('POST', `/v1/images/${name}/verify`, {}));
  const stored = join(csp.paths.images, name, 'image.qcow2');
  screen.witness('qemu-img info of the image', encryptionOf(stored));
  const claims = [
    { text: 'the image is whole: every chunk is what its recorded root says', holds: verified },
    {
      text: 'the text of the plain disk is nowhere in the image',
      holds: readFileSync(path).includes(PLAIN_TEXT) && !readFileSync(stored).includes(PLAIN_TEXT),
    },
  ];
  for (const { text, holds } of claims) screen.verdict(holds ? 'holds' : 'fails', text);
  return { name, claims };
}

function putPlainDisk(path: string): void {
  const disk = openSync(path, 'wx', 0o600);
  ftruncateSync(disk, DISK_BYTES);
  writeSync(disk, PLAIN_TEXT, PLAIN_TEXT_AT);
  closeSync(disk);
}

/** One byte of the stored image changes: the operator's command line finds it out, and says so by its exit code. */
export function tamperWithImage(screen: Screen, { csp }: Side, image: string): readonly Claim[] {
  const stored = join(csp.paths.images, image, 'image.qcow2');
  const kept = flipByte(stored);
  const args = ['--context', csp.context('operator'), 'image', 'verify', image];
  const verify = spawnSync(process.execPath, [join(repositoryRoot, 'apps', 'carnet', 'src', 'main.ts'), ...args], {
    encoding: 'utf8',
  });
  kept();
  screen.witness(`carnet image verify ${image}`, `exit ${verify.status}: ${verify.stderr.trim().split('\n')[0] ?? ''}`);
  const holds = verify.status === VERIFICATION_FAILED && verify.stderr.includes('IMAGE_TAMPERED');
  const claim = { text: 'an image with one changed byte does not verify', holds };
  screen.verdict(holds ? 'holds' : 'fails', claim.text);
  return [claim];
}

/** Exit code of `carnet` when something was verified and is not what it should be. */
const VERIFICATION_FAILED = 3;

/** Changes the last byte of a file; returns what puts it back. */
function flipByte(path: string): () => void {
  const byte = Buffer.alloc(1);
  const file = openSync(path, 'r+');
  const at = fstatSync(file).size - 1;
  readSync(file, byte, 0, 1, at);
  writeSync(file, Buffer.of((byte[0] ?? 0) ^ 1), 0, 1, at);
  return () => {
    writeSync(file, byte, 0, 1, at);
    closeSync(file);
  };
}

/** A VM whose disk is a copy of the image under a key of its own, running. */
export async function createMachine(screen: Screen, guest: Guest, { csp, broker }: Side, image: string) {
  screen.heading(`${csp.plan.domain}: a VM is created from that image, and runs`);
  const created = unwrapped(
    await broker.act<{ readonly vm: string }>('POST', '/v1/vms', {
      name: 'guest1',
      image,
      memoryMiB: GUEST_MEMORY_MIB,
      boot: { kind: 'kernel', kernel: guest.kernelSha256, initrd: guest.initrdSha256, cmdline: guest.commandLine },
    }),
  );
  const uuid = created.vm.split('/')[1] ?? '';
  const console = consoleOf(csp, uuid);
  const first = await tickAfter(console, undefined, BOOT_MS_MAX);
  await tickAfter(console, { ...first, n: first.n + TICKS_FIRST }, BOOT_MS_MAX);
  screen.witness(`virsh at ${csp.plan.domain}`, virshList(csp).join(', '));
  screen.witness("guest's console", `boot=${first.boot}: it boots, and writes a marker to its disk with every tick`);
  const disks = leftAt(csp).filter((path) => path.endsWith('.qcow2'));
  for (const disk of disks) screen.witness("qemu-img info of the VM's disk", encryptionOf(disk));
  const isEncrypted = disks.length === 1 && disks.every((disk) => encryptionOf(disk) === ENCRYPTED);
  const claims = [
    {
      text: "the VM's disk is encrypted, and holds the text of the plain disk nowhere",
      holds: isEncrypted && disks.every((disk) => !readFileSync(disk).includes(PLAIN_TEXT)),
    },
  ];
  for (const { text, holds } of claims) screen.verdict(holds ? 'holds' : 'fails', text);
  return { vm: created.vm, uuid, claims };
}

const ENCRYPTED = 'format qcow2, encrypted: yes, LUKS';

/** QEMU's own words about a volume. `-U`: the VM may be running. */
function encryptionOf(path: string): string {
  const text = execFileSync(systemTool('qemu-img'), ['info', '-U', '-f', 'qcow2', '--output=json', path], { encoding: 'utf8' });
  const info: unknown = JSON.parse(text);
  const at = (...names: readonly string[]): unknown =>
    names.reduce<unknown>(
      (value, name) => (typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined),
      info,
    );
  const format = String(at('format-specific', 'data', 'encrypt', 'format') ?? 'none').toUpperCase();
  return `format ${String(at('format'))}, encrypted: ${at('encrypted') === true ? 'yes' : 'no'}, ${format}`;
}
