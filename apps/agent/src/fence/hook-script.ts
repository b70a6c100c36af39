import { METADATA_NAMESPACE } from '@carnet/hypervisor';
import { HOOK_SECONDS_MAX } from '../limits.ts';

/** What the program says to the script: anything else means that it could not say anything. */
export const HOOK_ALLOWS = 0;
export const HOOK_REFUSES = 5;

/** Second line of every script that is ours to replace. */
export const HOOK_SIGNATURE = '# Written by carnet-fence install. What is changed here is lost with the next install.';

const quoted = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;

export type HookProgram = { readonly node: string; readonly main: string; readonly config: string };

/**
 * The script that libvirt runs as its `qemu` hook (`NAME OPERATION SUB-OPERATION EXTRA`, domain XML on stdin). Most operations
 * cost a shell and nothing else. Where the program does not run (an upgrade under way, a broken disk) the script itself refuses
 * the VMs that bear our mark, and no others; a guest that runs is killed by no accident of ours.
 */
export function hookScript({ node, main, config }: HookProgram): string {
  const program = [node, '--disable-warning=ExperimentalWarning', main].map(quoted).join(' ');
  return `#!/bin/sh
${HOOK_SIGNATURE}
case "$2" in
  prepare | start | attach | reconnect) ;;
  *) exit 0 ;;
esac
xml=$(cat)
# libvirt takes what a hook prints for a changed domain: nothing may.
printf '%s\\n' "$xml" | timeout ${HOOK_SECONDS_MAX} ${program} decide --config ${quoted(config)} -- "$1" "$2" >/dev/null
case $? in
  ${HOOK_ALLOWS}) exit 0 ;;
  ${HOOK_REFUSES}) exit 1 ;;
esac
[ "$2" = reconnect ] && exit 0
case "$xml" in
  *${METADATA_NAMESPACE}*)
    echo "carnet: $1 must not run on this host: carnet-fence does not run, so nobody can tell whether it may. Repair it (carnet-fence check $1). (FENCE_UNREADABLE)" >&2
    exit 1
    ;;
esac
exit 0
`;
}
