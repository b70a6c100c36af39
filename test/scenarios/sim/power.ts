import { setPower } from '../../../apps/broker/src/service/machines.ts';
import { VM } from '../../../libs/saga/src/testing.ts';
import type { Csp } from './csp.ts';
import type { Replica } from './replica.ts';
import type { Scheduler } from './scheduler.ts';

/** An operator switches the VM on or off, by a broker. */
export function wishPower(scheduler: Scheduler, { domain, host }: Csp, replica: Replica, power: 'on' | 'off'): void {
  scheduler.note(`${domain} is to switch the VM ${power}`);
  if (power === 'off') host.maybeOff = true;
  scheduler
    .within(replica.life, () => setPower(replica.machines, VM, power, `spiffe://${domain}/operator`))
    .then(
      (result) => scheduler.note(`${domain} switched it ${power}: ${result.ok ? 'yes' : `${result.code} ${result.text}`}`),
      (cause: unknown) => scheduler.note(`${domain} switched it ${power}: ${String(cause)}`),
    );
}

/** How often a host says hello, and is asked again for one. */
const HELLO_EVERY_MS = 10_000;

/** The host says what its libvirt has lost, until it has it again. */
function sayHello(scheduler: Scheduler, csp: Csp): void {
  let isWhole = false;
  const say = async (): Promise<void> => {
    const hello = await csp.host.agent.hello();
    isWhole = hello.secretsMissing.length === 0;
    for (const [n, life] of csp.lives.entries()) if (!life.dead) scheduler.within(life, () => csp.replicas[n]?.heard(hello));
  };
  const again = (ms: number): void =>
    void scheduler.at(scheduler.elapsedMs() + ms, () => {
      if (isWhole) return;
      if (!csp.host.life.dead) scheduler.within(csp.host.life, () => void say().catch(() => undefined));
      again(HELLO_EVERY_MS);
    });
  again(scheduler.latency(100));
}

/** Guests live on; what libvirtd had in memory is gone, and its broker hears of it. */
export function restartLibvirt(scheduler: Scheduler, csp: Csp): void {
  csp.host.fake.hypervisor.restartDaemon();
  sayHello(scheduler, csp);
}

const holdsIt = ({ database }: Csp): boolean => database.rows('select vm from broker_vms').length > 0;

/** Somebody looks every so often, and switches on what is theirs and off, until `isOver`. */
export function keepSwitchingOn(scheduler: Scheduler, csps: readonly Csp[]): void {
  const look = async (csp: Csp): Promise<void> => {
    const replica = csp.replicas.find(({ life } = { life: undefined }) => life?.dead === false);
    const isOn = (await csp.host.fake.hypervisor.list()).some(({ state }) => state === 'running');
    if (replica !== undefined && !isOn) wishPower(scheduler, csp, replica, 'on');
  };
  const again = (): void =>
    void scheduler.at(scheduler.elapsedMs() + HELLO_EVERY_MS, () => {
      for (const csp of csps.filter(holdsIt)) void look(csp);
      again();
    });
  again();
}
