import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { HOOK_SIGNATURE, type HookProgram, hookScript } from './hook-script.ts';

/** libvirt runs `qemu`, then everything in `qemu.d` by name (since 6.5): whatever else hooks here stays untouched. */
export const hookFile = (hooks: string): string => join(hooks, 'qemu.d', '10-carnet-fence');

/** Whether libvirt finds our script in that folder. It looks for hooks when it starts. */
export function isHookInstalled(hooks: string): boolean {
  const file = hookFile(hooks);
  const status = statSync(file, { throwIfNoEntry: false });
  return status?.isFile() === true && (status.mode & 0o111) !== 0 && isOurs(file);
}

/** Safe to repeat. Never overwrites what somebody else wrote. */
export function installHook(hooks: string, program: HookProgram): 'installed' | 'unchanged' | 'taken' {
  const file = hookFile(hooks);
  const script = hookScript(program);
  if (existsSync(file)) {
    if (!isOurs(file)) return 'taken';
    if (isHookInstalled(hooks) && readFileSync(file, 'utf8') === script) return 'unchanged';
  }
  mkdirSync(join(hooks, 'qemu.d'), { recursive: true, mode: 0o755 });
  // Beside the folder: libvirt would run a draft in it.
  const draft = join(hooks, '.carnet-fence.new');
  rmSync(draft, { force: true });
  writeFileSync(draft, script, { flag: 'wx', mode: 0o755 });
  chmodSync(draft, 0o755);
  renameSync(draft, file);
  return 'installed';
}

const isOurs = (file: string): boolean => readFileSync(file, 'utf8').split('\n')[1] === HOOK_SIGNATURE;
