import type { HostName, VmId } from '@carnet/events';
import type { Hello } from '@carnet/hypervisor';
import type { Log } from '@carnet/runtime';
import { oneTryForEach } from './one-try.ts';
import { type MachinePorts, runSecrets } from './service/machines.ts';

export function provideSecretsAgain(ports: MachinePorts, log: Log): (host: HostName, hello: Hello) => void {
  const tryFor = oneTryForEach();
  const provide = async (host: HostName, vm: VmId): Promise<void> => {
    const held = await ports.inventory.vm(vm);
    if (held?.host !== host) return;
    const secrets = await runSecrets(ports, held, { reason: 'SECRETS_LOST' });
    const reply = await ports.hosts.ask(ports.hosts.sign({ step: 'provideSecrets', host, vm, body: { secrets } }));
    if (reply.status !== 'done') log.warn({ vm, host, status: reply.status }, 'secrets not provided yet');
    else log.info({ vm, host }, 'ephemeral secrets provided again');
  };
  return (host, hello) => {
    for (const { vm } of hello.secretsMissing)
      tryFor(vm, () =>
        provide(host, vm).catch((cause: unknown) => log.warn({ vm, host, err: cause }, 'secrets could not be provided')),
      );
  };
}
