import { failed, HostError, refused } from '../codes.ts';
import { LUKS_ITER_TIME_MS, QEMU_IMG_MS_MAX } from '../limits.ts';
import { done, setBack } from '../outcome.ts';
import type { Log } from '../ports/host-ports.ts';
import type { Volumes } from '../ports/volumes.ts';
import { optionValue, runTool, secretObjects, type ToolEnd, type ToolSecret } from './tool.ts';

export type QemuTools = { readonly qemuImg: string; readonly qemuIo: string; readonly tmpfsDir: string };

/** Format given, never probed; the header was guarded by our own parser before this is opened. */
const encrypted = (path: string, secret: string): string =>
  `driver=qcow2,file.driver=file,file.filename=${optionValue(path)},encrypt.format=luks,encrypt.key-secret=${secret}`;

/** QEMU says it in these words (crypto/block-luks.c, unchanged since 2.6); a test holds it to them. */
const WRONG_KEY = /Invalid password, cannot unlock any keyslot/;

const soon = (): AbortSignal => AbortSignal.timeout(QEMU_IMG_MS_MAX);

/** LUKS volumes made and opened by qemu-img and qemu-io. */
export function qemuVolumes({ qemuImg, qemuIo, tmpfsDir }: QemuTools, log: Log): Volumes {
  const must = ({ exitCode, errors }: ToolEnd): void => {
    if (exitCode === 0) return;
    log.warn({ exitCode, errors }, 'qemu tool failed');
    throw new HostError(failed(/No space left/.test(errors) ? 'NO_ROOM' : 'TOOL_FAILED'));
  };
  const run = (file: string, args: readonly string[], secrets: readonly ToolSecret[], signal = soon()): Promise<ToolEnd> =>
    runTool({ file, args, secrets, tmpfsDir, signal });

  return {
    createBlank: async (path, capacityBytes, passphrase) => {
      const secrets = [{ id: 'new', value: passphrase }];
      const options = `encrypt.format=luks,encrypt.key-secret=new,encrypt.iter-time=${LUKS_ITER_TIME_MS}`;
      must(
        await run(
          qemuImg,
          ['create', '-q', ...secretObjects(secrets), '-f', 'qcow2', '-o', options, path, String(capacityBytes)],
          secrets,
        ),
      );
    },
    copyInto: async (from, to, signal) => {
      const secrets = [
        { id: 'from', value: from.passphrase },
        { id: 'to', value: to.passphrase },
      ];
      // -n: into the volume as it was made, LUKS header included; a fresh qcow2 reads as zeros.
      const how = ['convert', '-n', '--target-is-zero', ...secretObjects(secrets), '--image-opts', '--target-image-opts'];
      const end = await run(qemuImg, [...how, encrypted(from.path, 'from'), encrypted(to.path, 'to')], secrets, signal);
      if (WRONG_KEY.test(end.errors)) return setBack(refused('LUKS_DOES_NOT_OPEN'));
      must(end);
      return done(undefined);
    },
    unlock: async (path, passphrase) => {
      const secrets = [{ id: 'key', value: passphrase }];
      // -U: the VM may be running; reading one sector of it harms nobody.
      const how = ['-r', '-U', ...secretObjects(secrets), '-c', 'read 0 512', '--image-opts'];
      const end = await run(qemuIo, [...how, encrypted(path, 'key')], secrets);
      if (WRONG_KEY.test(end.errors)) return setBack(refused('LUKS_DOES_NOT_OPEN'));
      must(end);
      return done(undefined);
    },
  };
}
