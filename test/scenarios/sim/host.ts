import { dsseEnvelope, hostName, PAYLOAD_TYPES, type TrustDomain, timestamp } from '@carnet/events';
import {
  createHostAgent,
  type FakeHost,
  type FakeNetwork,
  failed,
  fakeHost,
  type HostAgent,
  HostError,
  type HostPorts,
  IMMEDIATE,
  type Log,
  type SealedSecret,
} from '@carnet/hypervisor';
import { signEnvelope } from '@carnet/trust';
import { RESTART_MS } from './csp.ts';
import type { Custody } from './custody.ts';
import type { Faults } from './faults.ts';
import { hostOf, type Identity } from './identities.ts';
import type { Fate, Life, Scheduler } from './scheduler.ts';

export type SimHost = {
  readonly domain: TrustDomain;
  readonly fake: FakeHost;
  agent: HostAgent;
  life: Life;
  /** Until then commands that were held back may arrive. */
  lastCommandMs: number;
  /** People or a power cut may have switched the VM off: then people switch it on. */
  maybeOff: boolean;
  /** Its agent dies with it; both begin again a while later. */
  losePower: () => void;
  /** Somebody is told that it has. */
  onPowerLost: (() => void) | undefined;
  /** Its QEMU ends; agent, libvirtd and host go on. */
  guestDies: () => void;
  /** Somebody took it off its power: its agent does not begin again before it is plugged in. */
  unplugged: boolean;
  /** Nothing is heard of its agent until somebody kills it. */
  hangsUntilMs: number;
  unplug: () => void;
  plugIn: () => void;
  /** Calls of the hypervisor since somebody looked. */
  touched: boolean;
  /** Somebody waits for what the hypervisor does. */
  onEffect: (() => void) | undefined;
};

/** A key itself, in base64, in the place of a sealed one. */
export type PlainKey = SealedSecret;

export type HostOptions = {
  readonly scheduler: Scheduler;
  readonly faults: Faults;
  readonly network: FakeNetwork;
  readonly identity: Identity;
  readonly custody: Custody;
  readonly log: Log;
  /** A mutant's: what it changes of the ports. */
  readonly spoil: (ports: HostPorts, domain: TrustDomain) => HostPorts;
  readonly libvirtRestarts: () => void;
  /** Whatever key the host has opened. */
  readonly opened: (key: PlainKey) => void;
};

const MEAN_MS = 0.5;
/** What a machine needs to be back. */
const BOOT_MS = 5_000;
/** Until an operator kills an agent that answers nothing any more. */
const HANGS_MS = 15_000;

/** Effects that may be repeated: done before is done, or replaced as a whole. */
const REPEATABLE: ReadonlySet<string | symbol> = new Set(
  `define undefine autostartOff pause requestShutdown powerOff putSecret dropSecret
   unlock seal unseal serve unserve pull sealMemory openMemory
   write truncate blank flush remove ensureDir keep forget`.split(/\s+/),
);
const FATES: readonly Fate[] = ['not-done', 'unreported', 'never', 'unanswered'];
const FATES_REPEATABLE: readonly Fate[] = [...FATES, 'twice'];

/** The agent's process ends where it stands, and another begins a while later. */
function restartAgent(host: SimHost, options: HostOptions, afterMs: number = RESTART_MS): void {
  const { scheduler } = options;
  if (host.life.dead) return;
  scheduler.kill(host.life);
  startLater(host, options, afterMs);
}

function startLater(host: SimHost, options: HostOptions, afterMs: number): void {
  const { scheduler } = options;
  scheduler.at(scheduler.elapsedMs() + afterMs, () => {
    if (host.life.dead && !host.unplugged) startAgent(host, options);
  });
}

/** A call that never ends: somebody looks after a while, and kills the agent. */
function hangs(host: SimHost, options: HostOptions, where: string): void {
  const { life } = host;
  const { scheduler } = options;
  scheduler.note(`${life.name} hangs in ${where}`);
  host.hangsUntilMs = scheduler.elapsedMs() + HANGS_MS;
  scheduler.at(host.hangsUntilMs, () => {
    if (host.life === life) restartAgent(host, options);
  });
}

/** A host's disk and guests, which outlive its agent. */
export function createSimHost(options: HostOptions): SimHost {
  const { scheduler, identity, network, log } = options;
  const openSecret = options.custody.openerOf(hostOf(identity.domain), scheduler);
  const { domain } = identity;
  const clockOf = (life: Life) => ({
    now: () => timestamp.parse(new Date(scheduler.nowMs() + life.skewMs).toISOString()),
    sleep: (ms: number, signal: AbortSignal) =>
      new Promise<void>((resolve, reject) => {
        scheduler.at(scheduler.elapsedMs() + ms, resolve, life);
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      }),
  });
  const life = scheduler.life(`agent of ${domain}`);
  const fake = fakeHost({
    domain,
    host: hostOf(domain),
    clock: clockOf(life),
    network,
    log,
    openSecret: async (secret, context) => {
      const opened = await openSecret(secret, context);
      if (opened.ok && context.purpose !== 'seal' && context.purpose !== 'unseal')
        options.opened({ key: secret.key, sealed: Buffer.from(opened.value).toString('base64') });
      return opened;
    },
    signEvidence: (evidence) =>
      dsseEnvelope.parse(
        JSON.parse(
          Buffer.from(
            signEnvelope(PAYLOAD_TYPES.evidence, Buffer.from(JSON.stringify(evidence)), identity.agent.signer),
          ).toString(),
        ),
      ),
  });
  const host: SimHost = {
    domain,
    fake,
    agent: fake.agent,
    life,
    lastCommandMs: 0,
    maybeOff: false,
    losePower: () => {
      restartAgent(host, options, BOOT_MS);
      host.touched = true;
      host.maybeOff = true;
      void fake.losePower();
      host.onPowerLost?.();
    },
    onPowerLost: undefined,
    guestDies: () => {
      host.touched = true;
      host.maybeOff = true;
      fake.hypervisor.endGuests();
      host.onPowerLost?.();
    },
    unplugged: false,
    hangsUntilMs: 0,
    unplug: () => {
      host.unplugged = true;
      host.losePower();
    },
    plugIn: () => {
      host.unplugged = false;
      startLater(host, options, BOOT_MS);
    },
    touched: true,
    onEffect: undefined,
  };
  startAgent(host, options, clockOf);
  return host;
}

/** A new run of the agent over the same disk and guests. */
export function startAgent(host: SimHost, options: HostOptions, clock?: (life: Life) => HostPorts['clock']): void {
  const { scheduler, identity } = options;
  const life = scheduler.life(`agent of ${host.domain}`);
  life.skewMs = host.life.skewMs;
  host.life = life;
  const { fake } = host;
  const ports: HostPorts = options.spoil(
    {
      ...fake.ports,
      clock: clock?.(life) ?? {
        ...fake.ports.clock,
        now: () => timestamp.parse(new Date(scheduler.nowMs() + life.skewMs).toISOString()),
      },
      hypervisor: interruptible(host, 'hypervisor', fake.ports.hypervisor, life, options),
      volumes: interruptible(host, 'volumes', fake.ports.volumes, life, options),
      artifacts: interruptible(host, 'artifacts', fake.ports.artifacts, life, options),
      files: interruptible(host, 'files', fake.ports.files, life, options),
      permits: interruptible(host, 'permits', fake.ports.permits, life, options),
    },
    host.domain,
  );
  host.agent = scheduler.within(life, () =>
    createHostAgent({
      domain: host.domain,
      host: hostName.parse(hostOf(host.domain)),
      ports,
      hello: { agent: '00000000-0000-4000-8000-000000000001', publicKey: '', chain: [...identity.agent.chain] },
    }),
  );
}

/** Looking at a file costs no time here: what matters is where a crash falls between two effects. */
const LOOKS: ReadonlySet<string | symbol> = new Set([
  'read',
  'size',
  'head',
  'list',
  'find',
  'freeBytes',
  'isTmpfs',
  'hasSecret',
  'guard',
  'luksPlace',
]);

function interruptible<P extends object>(host: SimHost, name: string, port: P, life: Life, options: HostOptions): P {
  const { scheduler, faults } = options;
  return new Proxy(port, {
    get: (target, property) => {
      const member: unknown = Reflect.get(target, property);
      if (typeof member !== 'function' || IMMEDIATE.has(property)) return member;
      return async (...given: readonly unknown[]): Promise<unknown> => {
        const work = async (): Promise<unknown> => {
          if (name === 'hypervisor') host.touched = true;
          return Reflect.apply(member, target, given);
        };
        if (life.dead) return new Promise(() => undefined);
        if (LOOKS.has(property)) return work();
        const [before, after] = [faults.take('crash before a host effect'), faults.take('crash after a host effect')];
        const [dark, lost] = [
          faults.take('power lost after a host effect'),
          faults.take('libvirtd restarts after a host effect'),
        ];
        const fate = faults.fate('host port', REPEATABLE.has(property) ? FATES_REPEATABLE : FATES);
        if (fate === 'never' || fate === 'unanswered') hangs(host, options, `${name}.${String(property)}`);
        try {
          return await scheduler.point(
            life,
            scheduler.latency(MEAN_MS),
            () => fate,
            async () => {
              if (before) {
                restartAgent(host, options);
                return new Promise(() => undefined);
              }
              const result = await work();
              if (name === 'hypervisor') host.onEffect?.();
              if (lost) options.libvirtRestarts();
              if (dark) host.losePower();
              if (after) restartAgent(host, options);
              return result;
            },
          );
        } catch (cause) {
          if (cause instanceof HostError) throw cause;
          throw new HostError(failed(name === 'hypervisor' ? 'LIBVIRT_FAILED' : 'DISK_FAILED', '(simulated)'));
        }
      };
    },
  });
}
