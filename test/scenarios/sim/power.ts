import { setPower } from '../../../apps/broker/src/service/machines.ts';
import { VM } from '../../../libs/saga/src/testing.ts';
import { type Csp, holdsIt } from './csp.ts';
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

/** How often a host says hello. */
const HELLO_EVERY_MS = 10_000;
/** How often people look whether their VM is on. */
const SWITCH_EVERY_MS = 5_000;

/** The host says what its libvirt has lost; its broker gives it again. */
function sayHello(scheduler: Scheduler, csp: Csp): void {
  const { life, agent } = csp.host;
  if (life.dead) return;
  const say = async (): Promise<void> => {
    const hello = await agent.hello();
    for (const [n, broker] of csp.lives.entries())
      if (!broker.dead) scheduler.within(broker, () => csp.replicas[n]?.heard(hello));
  };
  scheduler.within(life, () => void say().catch(() => undefined));
}

export function keepSayingHello(scheduler: Scheduler, csp: Csp): void {
  scheduler.at(scheduler.elapsedMs() + HELLO_EVERY_MS, () => {
    sayHello(scheduler, csp);
    keepSayingHello(scheduler, csp);
  });
}

/** Guests live on; what libvirtd had in memory is gone, and once it is back its broker hears of it. */
export function restartLibvirt(scheduler: Scheduler, csp: Csp): void {
  csp.host.fake.hypervisor.restartDaemon();
  scheduler.at(scheduler.elapsedMs() + scheduler.latency(LIBVIRT_BACK_MS), () => sayHello(scheduler, csp));
}
const LIBVIRT_BACK_MS = 100;

/** Somebody looks every so often, and switches on what is theirs and off, until `isOver`. */
export function keepSwitchingOn(scheduler: Scheduler, csps: readonly Csp[]): void {
  const look = async (csp: Csp): Promise<void> => {
    const replica = csp.replicas.find((one) => one?.life.dead === false);
    const isOn = (await csp.host.fake.hypervisor.list()).some(({ state }) => state === 'running');
    if (replica !== undefined && !isOn) wishPower(scheduler, csp, replica, 'on');
  };
  const again = (): void =>
    void scheduler.at(scheduler.elapsedMs() + SWITCH_EVERY_MS, () => {
      for (const csp of csps.filter(holdsIt)) void look(csp);
      again();
    });
  again();
}
