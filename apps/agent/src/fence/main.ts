#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { DOMAIN_XML_BYTES_MAX, type HookFacts, hookQuestion, isFederated, METADATA_NAMESPACE } from '@carnet/hypervisor';
import { judgeDomain, refusalText } from './decide.ts';
import { HOOK_ALLOWS, HOOK_REFUSES } from './hook-script.ts';
import { hookFile, installHook } from './install.ts';

const USAGE = `usage: carnet-fence install --config FILE [--hooks DIR]
       carnet-fence check --config FILE VM

libvirt's qemu hook: refuses to start, restore or take in a federated VM that this host may not run. It decides from the
host's own files, offline; other VMs it does not know. Restart libvirtd after the first install: it looks for hooks when it starts.

  install          puts the hook into DIR/qemu.d; safe to repeat
  check            says what the hook would say of a VM (its UUID, or domain/UUID) were it started now

  --config FILE    the agent's TOML
  --hooks DIR      default: /etc/libvirt/hooks

Exit codes: 0 done, or the VM may start; 1 failed; 2 usage; 5 the VM must not start.
`;
const FAILED = 1;
const USAGE_WRONG = 2;

/** What libvirt asks, by the script. Whatever this program cannot understand ends with another code, and the script decides. */
async function decide(config: string, [name = '', operation = '']: readonly string[]): Promise<number> {
  const xml = readFileSync(0);
  if (xml.length > DOMAIN_XML_BYTES_MAX) throw new RangeError(`expected at most ${DOMAIN_XML_BYTES_MAX} bytes of XML`);
  const { refusal } = await judgeDomain(config, hookQuestion(operation), xml.toString('utf8'));
  if (refusal === undefined) return HOOK_ALLOWS;
  process.stderr.write(refusalText(name, refusal));
  return HOOK_REFUSES;
}

async function check(config: string, vm: string): Promise<number> {
  const uuid = vm.slice(vm.indexOf('/') + 1);
  const { facts, refusal } = await judgeDomain(config, 'start', `<domain><uuid>${uuid}</uuid></domain>`);
  if (refusal !== undefined) {
    process.stderr.write(refusalText(vm, refusal));
    return HOOK_REFUSES;
  }
  process.stdout.write(
    facts === undefined ? `${config} does not load: run carnet-agent --check-config\n` : allowedText(vm, facts),
  );
  return facts === undefined ? FAILED : HOOK_ALLOWS;
}

function allowedText(vm: string, facts: HookFacts): string {
  if (!isFederated(facts))
    return `${vm}: this host knows no federated VM of that UUID. libvirt may start it, unless its XML bears the mark ${METADATA_NAMESPACE}.\n`;
  const epoch = facts.register.kind === 'entry' ? facts.register.entry.epoch : '?';
  return `${vm}: may start. The fence register says that it is this host's in epoch ${epoch}, and the broker's run permit says so, too.\n`;
}

function install(config: string, hooks: string): number {
  const outcome = installHook(hooks, { node: process.execPath, main: import.meta.filename, config });
  const file = hookFile(hooks);
  if (outcome !== 'taken') {
    process.stdout.write(`${file}: ${outcome}\n`);
    return 0;
  }
  process.stderr.write(`${file} was not written by carnet-fence: move it away, and install again\n`);
  return FAILED;
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { config: { type: 'string' }, hooks: { type: 'string', default: '/etc/libvirt/hooks' } },
  });
  const [verb, ...rest] = positionals;
  const [first] = rest;
  if (values.config?.startsWith('/') === true) {
    if (verb === 'install' && rest.length === 0) return install(values.config, values.hooks);
    if (verb === 'check' && first !== undefined && rest.length === 1) return check(values.config, first);
    if (verb === 'decide') return decide(values.config, rest);
  }
  process.stderr.write(USAGE);
  return USAGE_WRONG;
}

try {
  process.exitCode = await main();
} catch (cause) {
  process.stderr.write(`carnet-fence: ${cause instanceof Error ? cause.message : String(cause)}\n`);
  process.exitCode = FAILED;
}
