import { failed, HostError, refused } from '../codes.ts';
import { LUKS_HASH, LUKS_ITER_TIME_MS, QEMU_IMG_MS_MAX, QEMU_TIMING_TRIES_MAX } from '../limits.ts';
import { done, type Outcome, setBack } from '../outcome.ts';
import type { Log } from '../ports/host-ports.ts';
import type { EncryptRaw, Volumes } from '../ports/volumes.ts';
import { rawDiskFault } from '../raw-disk.ts';
import { type OpenedRaw, openRaw, progressOf } from './encrypt-raw.ts';
import { inheritedFile, optionValue, runTool, secretObjects, type ToolEnd, type ToolRun, type ToolSecret } from './tool.ts';

export type QemuTools = { readonly qemuImg: string; readonly qemuIo: string; readonly tmpfsDir: string };

/** Format given, never probed; the header was guarded by our own parser before this is opened. */
const encrypted = (path: string, secret: string): string =>
  `driver=qcow2,file.driver=file,file.filename=${optionValue(path)},encrypt.format=luks,encrypt.key-secret=${secret}`;

/** QEMU says it in these words (crypto/block-luks.c, unchanged since 2.6); a test holds it to them. */
const WRONG_KEY = /Invalid password, cannot unlock any keyslot/;

/** QEMU's words (crypto/pbkdf.c) where it could not time its key derivation: about this moment, not about the volume. */
const TIMING_FAILED = /Unable to get accurate CPU usage/;

const soon = (): AbortSignal => AbortSignal.timeout(QEMU_IMG_MS_MAX);

/** -n: into the volume as it was made, LUKS header included; a fresh qcow2 reads as zeros. */
const CONVERT = ['convert', '-n', '--target-is-zero'] as const;

type More = Partial<Pick<ToolRun, 'signal' | 'files' | 'onOutput'>>;

/** Runs a tool that derives a new key until it could time that, or has tried often enough. */
async function timed(run: () => Promise<ToolEnd>): Promise<ToolEnd> {
  let end = await run();
  for (let tries = 1; TIMING_FAILED.test(end.errors) && tries < QEMU_TIMING_TRIES_MAX; tries += 1) end = await run();
  return end;
}

/** LUKS volumes made and opened by qemu-img and qemu-io. */
export function qemuVolumes({ qemuImg, qemuIo, tmpfsDir }: QemuTools, log: Log): Volumes {
  const must = ({ exitCode, errors }: ToolEnd): void => {
    if (exitCode === 0) return;
    log.warn({ exitCode, errors }, 'qemu tool failed');
    throw new HostError(failed(/No space left/.test(errors) ? 'NO_ROOM' : 'TOOL_FAILED'));
  };
  const opened = (end: ToolEnd): Outcome<void> => {
    if (WRONG_KEY.test(end.errors)) return setBack(refused('LUKS_DOES_NOT_OPEN'));
    must(end);
    return done(undefined);
  };
  const run = (file: string, args: readonly string[], secrets: readonly ToolSecret[], more: More = {}): Promise<ToolEnd> =>
    runTool({ file, args, secrets, tmpfsDir, signal: soon(), ...more });

  const createBlank: Volumes['createBlank'] = async (path, capacityBytes, passphrase) => {
    const secrets = [{ id: 'new', value: passphrase }];
    const options = `encrypt.format=luks,encrypt.key-secret=new,encrypt.hash-alg=${LUKS_HASH},encrypt.iter-time=${LUKS_ITER_TIME_MS}`;
    const how = ['create', '-q', ...secretObjects(secrets), '-f', 'qcow2', '-o', options];
    must(await timed(() => run(qemuImg, [...how, path, String(capacityBytes)], secrets)));
  };
  const encryptInto = async ({ to, passphrase, onProgress, signal }: EncryptRaw, raw: OpenedRaw): Promise<Outcome<void>> => {
    await createBlank(to, raw.sizeBytes, passphrase);
    const secrets = [{ id: 'to', value: passphrase }];
    const from = `driver=raw,file.driver=file,file.filename=${inheritedFile(secrets, 0)}`;
    const how = [...CONVERT, '-p', ...secretObjects(secrets), '--image-opts', '--target-image-opts'];
    const onOutput = progressOf(raw.sizeBytes, onProgress);
    must(await run(qemuImg, [...how, from, encrypted(to, 'to')], secrets, { files: [raw.handle], onOutput, signal }));
    return done(undefined);
  };

  return {
    createBlank,
    encryptRaw: async (request) => {
      const raw = await openRaw(request.from);
      if (!raw.ok) return raw;
      try {
        const fault = rawDiskFault(raw.value, request.roomBytes);
        return fault === undefined ? await encryptInto(request, raw.value) : setBack(fault);
      } finally {
        await raw.value.handle.close();
      }
    },
    addKey: async (path, have, add, slot) => {
      const secrets = [
        { id: 'have', value: have },
        { id: 'add', value: add },
      ];
      const options = `encrypt.state=active,encrypt.new-secret=add,encrypt.keyslot=${slot},encrypt.iter-time=${LUKS_ITER_TIME_MS}`;
      const how = ['amend', '-q', ...secretObjects(secrets), '-o', options, '--image-opts'];
      return opened(await timed(() => run(qemuImg, [...how, encrypted(path, 'have')], secrets)));
    },
    eraseSlot: async (path, keep, slot) => {
      const secrets = [{ id: 'keep', value: keep }];
      const how = ['amend', '-q', ...secretObjects(secrets), '-o', `encrypt.state=inactive,encrypt.keyslot=${slot}`];
      return opened(await run(qemuImg, [...how, '--image-opts', encrypted(path, 'keep')], secrets));
    },
    copyInto: async (from, to, { signal, onProgress, totalBytes }) => {
      const secrets = [
        { id: 'from', value: from.passphrase },
        { id: 'to', value: to.passphrase },
      ];
      const told = onProgress === undefined ? {} : { onOutput: progressOf(totalBytes ?? 0, onProgress) };
      const progress = onProgress === undefined ? [] : ['-p'];
      const how = [...CONVERT, ...progress, ...secretObjects(secrets), '--image-opts', '--target-image-opts'];
      const places = [encrypted(from.path, 'from'), encrypted(to.path, 'to')];
      return opened(await run(qemuImg, [...how, ...places], secrets, { signal, ...told }));
    },
    unlock: async (path, passphrase) => {
      const secrets = [{ id: 'key', value: passphrase }];
      // -U: the VM may be running; reading one sector of it harms nobody.
      const how = ['-r', '-U', ...secretObjects(secrets), '-c', 'read 0 512', '--image-opts'];
      return opened(await run(qemuIo, [...how, encrypted(path, 'key')], secrets));
    },
  };
}
