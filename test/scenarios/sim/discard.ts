import type { MigrationState } from '@carnet/saga';
import { discardCopy } from '../../../apps/broker/src/service/discard-copy.ts';
import { VM } from '../../../libs/saga/src/testing.ts';
import { hasImage } from './able.ts';
import type { Csp } from './csp.ts';
import type { Glass } from './glass.ts';
import { nameOf } from './people.ts';
import type { Replica } from './replica.ts';
import type { Scheduler } from './scheduler.ts';

/** How often people look whether a copy was fenced. */
const LOOK_MS = 5_000;

/** People of a target look through the copy that was stopped, and give it up. */
export function keepDiscarding(scheduler: Scheduler, csps: readonly Csp[], glass: Glass): void {
  const seen = new Set<string>();
  const look = async (csp: Csp, replica: Replica): Promise<void> => {
    for (const { migrations } of await replica.context.ledgers.journeys(VM))
      for (const m of migrations.filter(({ target, targetPhase }) => target === csp.domain && targetPhase === 'fenced')) {
        if (!seen.has(m.id)) lookThrough(csp, m);
        seen.add(m.id);
        const ports = { ...replica.intake, hosts: replica.context.hosts, keys: replica.context.keys };
        const result = await discardCopy(ports, m, nameOf(csp.domain, 'anna'), 'looked through');
        scheduler.note(`${csp.domain} discards its copy: ${result.ok ? 'yes' : `${result.code} ${result.text}`}`);
      }
  };
  const lookThrough = (csp: Csp, { id, epoch }: MigrationState): void => {
    // A restored target may have destroyed what came before it knew its own word again, by an oath of its host that it never ran.
    const isForsworn = csp.restores > 0 && csp.host.fake.hypervisor.ran().length === 0;
    if (!hasImage(csp, epoch) && !isForsworn) glass.fails(`the copy of ${id.slice(-4)} at ${csp.domain} was not kept`);
  };
  const again = (): void =>
    void scheduler.at(scheduler.elapsedMs() + LOOK_MS, () => {
      for (const csp of csps) {
        const replica = csp.replicas.find((one) => one?.life.dead === false);
        if (replica !== undefined)
          scheduler
            .within(replica.life, () => look(csp, replica))
            .catch((cause: unknown) => scheduler.note(`${csp.domain} discards its copy: ${String(cause)}`));
      }
      again();
    });
  again();
}
