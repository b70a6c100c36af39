import {
  type DsseEnvelope,
  type IntentRequest,
  intentRequest,
  migrationId,
  type RequestRecord,
  type TrustDomain,
  uuidv7,
  vmSpec,
} from '@carnet/events';
import type { MigrationState } from '@carnet/saga';
import { cancel, intend } from '../../../apps/broker/src/service/intake.ts';
import { contentDigest } from '../../../apps/broker/src/service/request-content.ts';
import { VM } from '../../../libs/saga/src/testing.ts';
import { order } from './birth.ts';
import type { SimBus } from './bus.ts';
import { type Csp, holdsIt, RESTART_MS } from './csp.ts';
import { CUT_TEXT, CUT_WAYS } from './cuts.ts';
import type { Faults } from './faults.ts';
import type { PlainKey } from './host.ts';
import type { Liar } from './liar.ts';
import { consentOf } from './people.ts';
import { restartLibvirt, wishPower } from './power.ts';
import type { Random } from './random.ts';
import type { Replica } from './replica.ts';
import { isComparing, losingFolder, restoringDatabase, settingBack } from './restores.ts';
import type { Scheduler } from './scheduler.ts';
import type { SimOptions } from './world.ts';

export type Wishes = {
  readonly scheduler: Scheduler;
  readonly plan: Random;
  readonly csps: readonly Csp[];
  readonly faults: Faults;
  readonly bus: SimBus;
  /** The disk's key itself, as somebody at a console may have it. */
  readonly secret: () => PlainKey;
  readonly liar: Liar | undefined;
  readonly options: Pick<SimOptions, 'seed' | 'federation'>;
  readonly until: number;
  readonly start: (csp: Csp, n: number) => Promise<void>;
  readonly storm: number;
  readonly stormMs: number;
};

/** How a VM is to move. */
export type Way = Required<Pick<IntentRequest, 'mode' | 'rekey'>>;

/** An operator asks for a move. */
export function wishMove(
  scheduler: Scheduler,
  csp: Csp,
  replica: Replica,
  { target, bytes, way }: { readonly target: TrustDomain; readonly bytes: Uint8Array; readonly way: Way },
): IntentRequest {
  const migration = migrationId.parse(uuidv7(scheduler.nowMs(), bytes));
  scheduler.note(`${csp.domain} wishes ${migration.slice(-4)} to ${target}: ${way.mode}, rekey ${way.rekey}`);
  const consent = consentHere(csp, target);
  const request = intentRequest.parse({ migration, vm: VM, target, ...way, ...(consent === undefined ? {} : { consent }) });
  askFor(scheduler, csp, replica, request);
  return request;
}

/** Where the VM has an owner, and is. */
function consentHere({ domain, database }: Csp, target: TrustDomain): DsseEnvelope | undefined {
  const [row] = database.rows('select spec from broker_vms');
  const spec = row === undefined ? undefined : vmSpec.parse(JSON.parse(String(row['spec'])));
  return spec?.restrictions?.owner === undefined ? undefined : consentOf(spec, { source: domain, target });
}

/** Asked again, it is the same request. */
export function askFor(scheduler: Scheduler, csp: Csp, replica: Replica, request: IntentRequest): void {
  const record: RequestRecord = { via: 'mtls', principal: `spiffe://${csp.domain}/operator`, digest: contentDigest(request) };
  scheduler
    .within(replica.life, () => intend(replica.intake, request, record, { kind: 'certificate', leaf: 'AA==' }))
    .then(
      (result) => scheduler.note(`${csp.domain} intends: ${result.ok ? 'yes' : result.code}`),
      (cause: unknown) => scheduler.note(`${csp.domain} intends: ${String(cause)}`),
    );
}

/** An operator cancels what leaves. */
export function wishCancel(scheduler: Scheduler, csp: Csp, replica: Replica): void {
  const leaves = ({ source, sourcePhase }: MigrationState): boolean =>
    source === csp.domain && sourcePhase !== 'retired' && sourcePhase !== 'resumed';
  scheduler
    .within(replica.life, async () => {
      for (const journey of await replica.context.ledgers.journeys(VM))
        for (const m of journey.migrations.filter(leaves)) {
          const result = await cancel(replica.intake, m, 'operator', 'changed my mind');
          scheduler.note(`${csp.domain} cancels: ${result.ok ? 'yes' : result.code}`);
        }
    })
    .catch(() => undefined);
}

/** The longest storm: what follows says how often things happen in it. In a shorter one as much happens in less time. */
export const STORM_MS_MAX = 20_000;

/** What people want, and what befalls machines, over the time of the storm. */
export function wishes(of: Wishes): void {
  const { scheduler, plan, csps, secret, until } = of;
  const every = (meanMs: number, act: () => void): void => {
    const scaledMs = (meanMs * of.stormMs) / STORM_MS_MAX;
    const again = (): void => {
      const at = scheduler.elapsedMs() + 100 + Math.floor(-Math.log(1 - plan.next()) * scaledMs);
      if (at < until)
        scheduler.at(at, () => {
          act();
          again();
        });
    };
    again();
  };
  const anyReplica = (csp: Csp): Replica | undefined => {
    const n = plan.below(csp.lives.length);
    return csp.lives[n]?.dead === false ? csp.replicas[n] : undefined;
  };
  const asked: (readonly [Csp, IntentRequest])[] = [];
  every(2_000, () => {
    const csp = plan.pick(csps);
    const target = plan.pick(csps.filter((other) => other !== csp));
    const replica = anyReplica(csp);
    const bytes = plan.bytes(10);
    const way: Way = { mode: plan.pick(['cold', 'suspend']), rekey: plan.pick(['none', 'slot']) };
    const holder = holdsIt(csp);
    if (replica !== undefined && holder)
      asked.push([csp, wishMove(scheduler, csp, replica, { target: target.domain, bytes, way })]);
    // Two people ask at the same moment, for two places.
    const elsewhere = csps.find((other) => other !== csp && other !== target);
    if (replica !== undefined && holder && elsewhere !== undefined && plan.below(3) === 0)
      wishMove(scheduler, csp, replica, { target: elsewhere.domain, bytes: plan.bytes(10), way });
  });
  every(2_000, () => {
    const csp = plan.pick(csps);
    const replica = anyReplica(csp);
    if (replica !== undefined) wishCancel(scheduler, csp, replica);
  });
  // A VM that goes round: to the next as soon as it has come.
  if (csps.length > 2 && plan.below(3) === 0)
    every(700, () => {
      const at = csps.findIndex(holdsIt);
      const [csp, next] = [csps[at], csps[(at + 1) % csps.length]];
      const replica = csp === undefined ? undefined : anyReplica(csp);
      const [bytes, way]: [Uint8Array, Way] = [plan.bytes(10), { mode: 'cold', rekey: plan.pick(['none', 'slot']) }];
      if (csp !== undefined && next !== undefined && replica !== undefined)
        wishMove(scheduler, csp, replica, { target: next.domain, bytes, way });
    });
  // Whoever heard no answer asks the same again: it is one request.
  every(4_000, () => {
    const [csp, request] = asked[plan.below(Math.max(1, asked.length))] ?? [];
    const replica = csp === undefined ? undefined : anyReplica(csp);
    if (csp === undefined || request === undefined || replica === undefined) return;
    scheduler.note(`${csp.domain} wishes ${request.migration.slice(-4)} again`);
    askFor(scheduler, csp, replica, request);
  });
  every(10_000, () => {
    const csp = plan.pick(csps);
    const replica = anyReplica(csp);
    if (replica !== undefined) wishPower(scheduler, csp, replica, plan.pick(['off', 'off', 'on']));
  });
  // Somebody at the console of a host starts the VM there, whatever the brokers say.
  every(3_000, () => {
    const csp = plan.pick(csps);
    if (!csp.host.life.dead) void order(scheduler, csp, 'startVm', { secrets: [secret()] });
  });
  const { liar } = of;
  const csp = csps.find(({ domain }) => domain === liar?.domain);
  if (liar !== undefined && csp !== undefined)
    every(1_500, () => liar.lie(csp, anyReplica(csp), plan.pick(csps.filter((other) => other !== csp)).domain));
  if (of.storm > 0) misfortunes(of, (meanMs, act) => every(meanMs / of.storm, act));
}

function misfortunes(
  { scheduler, plan, csps, faults, bus, liar, options, start, stormMs }: Wishes,
  every: (meanMs: number, act: () => void) => void,
): void {
  const crash = (csp: Csp, n: number): void => {
    const life = csp.lives[n];
    if (life === undefined || life.dead) return;
    scheduler.kill(life);
    scheduler.at(scheduler.elapsedMs() + RESTART_MS, () => void start(csp, n));
  };
  every(6_000, () => {
    const csp = plan.pick(csps);
    const n = plan.below(csp.lives.length);
    if (faults.due(`${csp.domain}.${n} is killed`)) crash(csp, n);
  });
  every(5_000, () => {
    const [csp, way, ms] = [plan.pick(csps), plan.pick(CUT_WAYS), plan.below(15_000)];
    if (faults.due(`${csp.domain} ${CUT_TEXT[way]} for ${ms} ms`)) bus.cutOff(csp.domain, way, ms);
  });
  every(7_000, () => {
    const names = bus.names();
    const name = names[plan.below(Math.max(1, names.length))];
    // Lost together with the machine whose ledger it is, there is nothing that could know of it.
    if (name !== undefined && !isComparing(csps, name) && faults.due(`stream ${name} is lost`)) bus.wipe(name);
  });
  every(7_000, () => {
    const names = bus.names();
    const name = names[plan.below(Math.max(1, names.length))];
    if (name !== undefined && faults.due(`stream ${name} is withheld`)) bus.withhold(name, 10_000);
  });
  every(5_000, () => {
    const csp = plan.pick(csps);
    const life = plan.pick([...csp.lives, csp.host.life]);
    const ms = plan.below(60_000) - 30_000;
    if (faults.due(`clock of ${life.name} by ${ms} ms`)) life.skewMs = ms;
  });
  every(8_000, () => {
    const csp = plan.pick(csps);
    if (faults.due(`libvirtd of ${csp.domain} restarts`)) restartLibvirt(scheduler, csp);
  });
  every(12_000, () => {
    const csp = plan.pick(csps);
    if (faults.due(`host of ${csp.domain} loses power`)) csp.host.losePower();
  });
  // Beside a liar nobody is restored: whether a CSP lied or was restored is what the two ask about each other.
  if (liar !== undefined) return;
  const of = { scheduler, csps, faults, options, bus, start };
  every(20_000, () => {
    const restore = restoringDatabase(of, plan.pick(csps));
    // Of a moment ago, or of long ago: the last but one backup.
    const ms = 50 + plan.below(plan.pick([3_000, stormMs]));
    scheduler.at(scheduler.elapsedMs() + ms, () => restore(`${ms} ms ago`));
  });
  // Its worst moment: the host has just acted, and nobody could be told upon what.
  every(20_000, () => {
    const csp = plan.pick(csps);
    const [ms, passed, way] = [plan.below(10_000), plan.below(4), plan.pick(['out', 'both'] as const)];
    if (faults.due(`${csp.domain} ${CUT_TEXT[way]} for ${ms} ms`)) bus.cutOff(csp.domain, way, ms);
    const restore = restoringDatabase(of, csp);
    const fromMs = scheduler.elapsedMs();
    let left = passed;
    csp.host.onEffect = () => {
      left -= 1;
      if (left >= 0) return;
      csp.host.onEffect = undefined;
      const agoMs = scheduler.elapsedMs() - fromMs;
      if (agoMs < ms) scheduler.at(scheduler.elapsedMs(), () => restore(`${agoMs} ms ago, after what its host did`));
    };
  });
  every(25_000, () => {
    const setBack = settingBack(of, plan.pick(csps));
    scheduler.at(scheduler.elapsedMs() + 50 + plan.below(plan.pick([3_000, stormMs])), setBack);
  });
  every(25_000, () => {
    const csp = plan.pick(csps);
    const lose = losingFolder(of, csp, plan.pick(['empty', 'older']));
    scheduler.at(scheduler.elapsedMs() + plan.below(5_000), lose);
  });
}
