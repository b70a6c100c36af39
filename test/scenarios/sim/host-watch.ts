import { decodeEntry, type FenceEntry } from '../../../libs/hypervisor/src/fence/entry.ts';
import { VM } from '../../../libs/saga/src/testing.ts';
import type { SimHost } from './host.ts';

/** A host's disk, seen from its side: what stands there is known without asking. */
export type HostWatch = {
  readonly fence: () => FenceEntry | undefined;
  /** Another number once a file was written, moved or removed. */
  readonly lastChange: () => number;
};

/** From the beginning: what was written before is not seen. The calls are answered by the same promises, so no history changes. */
export function watchHost({ fake }: SimHost): HostWatch {
  const { files } = fake;
  const { write, rename, remove } = files;
  const fencePath = fake.ports.paths.fence(VM);
  let [fence, changes]: [FenceEntry | undefined, number] = [undefined, 0];
  const changing =
    <A extends readonly unknown[], R>(call: (...given: A) => R) =>
    (...given: A): R => {
      changes += 1;
      return call(...given);
    };
  Object.assign(files, {
    write: changing((path: string, bytes: Uint8Array) => {
      if (path === fencePath) fence = decodeEntry(Buffer.from(bytes));
      return write(path, bytes);
    }),
    rename: changing(rename),
    remove: changing(remove),
  });
  return { fence: () => fence, lastChange: () => changes };
}
