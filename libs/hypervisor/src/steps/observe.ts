import { failed, refused } from '../codes.ts';
import type { CommandOf } from '../command/command.ts';
import { uuidOf } from '../host-paths.ts';
import type { DomainFacts } from '../ports/hypervisor.ts';
import { isOff, waitFor } from './domains.ts';
import { finished, type Step, type StepContext, testify } from './step.ts';
import { stepKey } from './step-key.ts';

type Observe = CommandOf<'observe'>;
type Life = { readonly facts: DomainFacts | undefined; readonly consoleBytes: number };

const look = async ({ vm }: Observe, { ports }: StepContext): Promise<Life> => ({
  facts: await ports.hypervisor.find(uuidOf(vm)),
  consoleBytes: (await ports.files.size(ports.paths.console(vm))) ?? 0,
});

/** Whether the guest lives: its processor time grows, and so does its console where one is expected. */
export const observe: Step<'observe'> = async (command, context) => {
  const { body, epoch } = command;
  const started = context.log.outcome(stepKey({ step: 'start', epoch }))?.result;
  if (started?.step !== 'start') return refused('VM_NOT_RUNNING', 'It was not started in this epoch.');
  const first = await look(command, context);
  if (started.vcpus === 'held') return first.facts === undefined ? failed('VM_NOT_HERE') : healthy(command, context, first);
  let last = first;
  const lives = await waitFor(context, body.withinSeconds * 1_000, async () => {
    last = await look(command, context);
    if (last.facts === undefined || isOff(last.facts.state)) return true;
    const grewBusy = last.facts.vcpuTimeMs > (first.facts?.vcpuTimeMs ?? 0);
    return last.facts.state === 'running' && grewBusy && (body.signs === 'vcpu' || last.consoleBytes > first.consoleBytes);
  });
  if (last.facts === undefined || isOff(last.facts.state)) return failed('VM_CRASHED', `(${last.facts?.reason ?? 'absent'})`);
  return lives ? healthy(command, context, last) : failed('GUEST_SILENT');
};

function healthy(command: Observe, context: StepContext, { facts, consoleBytes }: Life) {
  const state = facts?.state ?? 'absent';
  const vcpuTimeMs = facts?.vcpuTimeMs ?? 0;
  return finished(
    { step: 'observe', state, vcpuTimeMs, consoleBytes },
    testify(context, command, 'healthy', { state, vcpuTimeMs, consoleBytes }),
  );
}
