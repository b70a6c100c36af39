import type { Hello } from '../command/report.ts';
import { HELLO_VMS_BYTES_MAX } from '../limits.ts';

type Part = { readonly vms: Hello['vms']; readonly secretsMissing: Hello['secretsMissing'] };

/**
 * A hello as reports that each fit into an envelope: alike in all, `time` and `agent` among it, but for the VMs that they name. Whoever
 * hears them puts those of one time together. A host with few VMs says one.
 */
export function helloParts(hello: Hello): readonly Hello[] {
  const missing = new Map(hello.secretsMissing.map((one) => [one.vm, one]));
  const parts: Part[] = [];
  let [part, bytes]: [Part, number] = [{ vms: [], secretsMissing: [] }, 0];
  for (const vm of hello.vms) {
    const secrets = missing.get(vm.vm);
    const more = JSON.stringify([vm, secrets]).length;
    if (bytes + more > HELLO_VMS_BYTES_MAX) {
      parts.push(part);
      [part, bytes] = [{ vms: [], secretsMissing: [] }, 0];
    }
    part = { vms: [...part.vms, vm], secretsMissing: [...part.secretsMissing, ...(secrets === undefined ? [] : [secrets])] };
    bytes += more;
  }
  return [...parts, part].map((one) => ({ ...hello, ...one }));
}
