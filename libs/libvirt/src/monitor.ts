import type { Channel } from './channel.ts';
import type { CallOptions } from './deadline.ts';
import { type Flags, flagWord, MONITOR_FLAGS } from './flags.ts';
import { type Domain, writeDomain } from './handles.ts';
import { Program } from './message.ts';
import type { Procedure } from './procedure.ts';

const COMMAND: Procedure<readonly [domain: Domain, command: string, flags: number], string> = {
  name: 'QEMU monitor command',
  program: Program.QEMU,
  number: 1,
  pace: 'quick',
  write: (w, domain, command, flags) => writeDomain(w, domain).string(command).uint(flags),
  read: (r) => r.string(),
};

/** QEMU's monitor, past libvirt's back. It marks the guest tainted; use it for what libvirt cannot do. */
export type Monitor = ReturnType<typeof monitor>;

export function monitor(channel: Channel) {
  return {
    /**
     * One QMP command as JSON text, its answer as JSON text, `{"return":…}` or `{"error":…}`.
     * With `hmp` both are the human monitor's plain text.
     */
    command: (
      domain: Domain,
      command: string,
      { flags, ...options }: CallOptions & { readonly flags?: Flags<typeof MONITOR_FLAGS> } = {},
    ) => channel.call(COMMAND, [domain, command, flagWord(MONITOR_FLAGS, flags)], options),
  } as const;
}
