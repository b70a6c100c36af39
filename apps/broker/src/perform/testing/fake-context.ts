import { artifactId, digest, GENESIS, type PinnedAgent, type SignedEvidence, type TrustDomain } from '@carnet/events';
import type { MigrationStep } from '@carnet/hypervisor';
import type { AppendTx } from '@carnet/journal';
import { type Command, type CommandType, decide, type FactType, type Journey, type Proposal, react } from '@carnet/saga';
import {
  CSP_A,
  DISK,
  digestOf,
  given,
  type M,
  NEW_DISK_KEY,
  POLICY_ALLOWED,
  START,
} from '../../../../../libs/saga/src/testing.ts';
import type { Hosts, StepOutcome } from '../../hosts/steps.ts';
import type { Rekeying } from '../../keys/handover-keys.ts';
import { NO_QUOTAS } from '../../service/testing/one-at-a-time.ts';
import type { PerformContext } from '../context.ts';

/** What a host answers, in turn; the last answer stays. */
export type Script = Partial<Record<MigrationStep, readonly StepOutcome<MigrationStep>[]>>;

export const refusedBy = (code: string): StepOutcome<never> => ({ kind: 'refused', code, text: 'by rule' });

/** The journey that both sides have folded when this event has arrived, with some facts' data changed: a liar's journey. */
export function journeyAt(last: FactType, changes: { readonly [T in FactType]?: object } = {}): Journey {
  const { a } = given(last);
  return changed(a.journey, changes);
}

export const changed = (journey: Journey, changes: { readonly [T in FactType]?: object }): Journey => ({
  ...journey,
  migrations: journey.migrations.map((m) => ({
    ...m,
    facts: Object.fromEntries(
      Object.entries(m.facts).map(([type, fact]) => [type, { ...fact, data: { ...fact.data, ...changes[type as FactType] } }]),
    ),
  })),
});

export function owed<C extends CommandType>(
  journey: Journey,
  self: TrustDomain,
  type: C,
): Extract<Command, { readonly type: C }> {
  const command = react(journey, self, START).find((one) => one.type === type);
  if (command === undefined) throw new Error(`${type} is not owed, but ${react(journey, self, START).map((one) => one.type)}`);
  return command as Extract<Command, { readonly type: C }>;
}

const ARTIFACT = artifactId.parse(DISK);
const evidence: SignedEvidence = { payloadType: 'x', payload: 'e30=', signatures: [{ keyid: 'k', sig: 'AA==' }] };
const RESULTS: Partial<Record<MigrationStep, object>> = {
  destroy: { artifacts: [ARTIFACT], fates: [{ artifact: ARTIFACT, fate: 'header-overwritten' }] },
  retire: { artifacts: [ARTIFACT], fates: [{ artifact: ARTIFACT, fate: 'header-overwritten' }] },
  rekey: { volumes: [{ artifact: ARTIFACT, before: digestOf('3'), after: digestOf('4') }] },
  resume: { ran: true },
  reserve: { until: START },
  receive: { roots: [{ artifact: ARTIFACT, root: digestOf('1') }] },
};

export interface Told {
  /** What was done, in order: `host <step> <proof>`, `keys <call>`, `inventory <call>`, `event <type>`. */
  readonly done: string[];
  readonly proposals: Proposal[];
}

/** Some of what a world does in place of what works. */
export type Parts = {
  readonly [K in keyof PerformContext]?: PerformContext[K] extends (...all: never[]) => unknown
    ? PerformContext[K]
    : Partial<PerformContext[K]>;
};

/** Everything works at once, unless it is told otherwise; what was done is told. */
export function fakeContext(
  self: TrustDomain,
  journey: Journey,
  script: Script = {},
  parts: Parts = {},
): { readonly context: PerformContext } & Told {
  const done: string[] = [];
  const proposals: Proposal[] = [];
  const answers = new Map(Object.entries(script).map(([step, outcomes]) => [step, [...outcomes]]));
  const hosts = {
    client: { registry: { hello: () => ({ chain: ['AA=='], publicKey: 'AA==' }), isUp: () => true, isSettled: () => true } },
    step: async (_: unknown, step: MigrationStep, body: () => Promise<object>) => {
      const asked = await body();
      done.push(['host', step, ...('proof' in asked ? [(asked.proof as { kind: string }).kind] : [])].join(' '));
      const scripted = answers.get(step);
      const next = scripted !== undefined && scripted.length > 1 ? scripted.shift() : scripted?.[0];
      return next ?? { kind: 'done', result: { step, ...RESULTS[step] }, evidence };
    },
  } as unknown as Hosts;
  const told =
    <T>(what: string, value: T) =>
    async (): Promise<T> => {
      done.push(what);
      return value;
    };
  const prepared = (what: string, data: object) =>
    told(what, { ok: true as const, value: { record: async () => ({ ok: true as const, value: data }) } });
  const honest = {
    self,
    ledgers: {
      journey: async () => journey,
      journeys: async () => [journey],
      settled: async () => ({ ok: true, journey }),
      isIdTaken: async () => false,
      placedAt: async () => START,
      propose: async (
        _vm: unknown,
        _peer: unknown,
        make: (
          tx: AppendTx,
          journey: Journey,
        ) => Promise<Proposal | { readonly ok: false; readonly code: string; readonly text: string }>,
      ) => {
        const proposal = await make({ db: {} } as AppendTx, journey);
        if ('ok' in proposal) return proposal;
        const decision = decide(journey, self, proposal, START);
        if (!decision.ok) return decision;
        done.push(`event ${decision.draft.type}`);
        proposals.push(proposal);
        return { ok: true, digest: GENESIS };
      },
    },
    keys: {
      secretForHost: async (_: unknown, key: string) => ({ key, sealed: 'AA==' }),
      confirm: async () => ({ ok: true, value: null }),
      reinstate: told('keys reinstate', undefined),
      memoryUsed: told('keys memoryUsed', undefined),
      discardImported: told('keys discard', []),
      retire: told('keys retire', undefined),
      replacements: async ({ facts }: Rekeying) => {
        done.push('keys replace');
        const disks = facts.KeyDeposited.data.keys.filter(({ kind }) => kind === 'disk');
        return disks.map((old) => ({ old, key: NEW_DISK_KEY, version: 1 }));
      },
      endReplaced: told('keys end replaced', undefined),
      openRelease: told('keys open', { ok: true, value: null }),
      importKeys: async () => ({ release: factDigest(journey, 'KeyReleased'), keys: [], destroyedPublicKey: GENESIS }),
      createMigrationKeyPair: prepared('keys pair', { kem: '0x647a', publicKey: 'AA==' }),
      acknowledge: prepared('keys acknowledge', {}),
    },
    hosts,
    inventory: {
      vm: async () => undefined,
      hostOf: async () => 'host-1',
      hostFor: () => 'host-1',
      add: told('inventory add', true),
      remove: told('inventory remove', undefined),
      respec: told('inventory respec', undefined),
    },
    policy: {
      asTarget: async () => POLICY_ALLOWED,
      asSource: async () => POLICY_ALLOWED,
      roleOf: () => [],
      highestLevel: () => 0,
    },
    peers: {
      agreementFault: async () => undefined,
      agentFault: () => undefined,
      releaseFault: async () => undefined,
      witnessFault: () => undefined,
      dataPathFault: () => undefined,
      requestFault: async () => undefined,
      breakGlassFault: async () => undefined,
    },
    alone: async (_: unknown, work: (signal: AbortSignal) => Promise<unknown>) => ({
      held: true,
      value: await work(new AbortController().signal),
    }),
    here: async () => ({ kind: 'whole' }),
    quotas: NO_QUOTAS,
    settings: {
      rollbackWindowMs: 0,
      graceSeconds: 0,
      rekeyArriving: 'none',
      kemsLeaving: ['0x647a'],
      kemArriving: '0x647a',
      unansweredOffers: 256,
    },
    nowMs: () => Date.parse(START),
  };
  const merged = Object.entries(honest).map(([name, part]) => {
    const other: unknown = parts[name as keyof Parts];
    return [name, typeof part === 'object' && typeof other === 'object' ? { ...part, ...other } : (other ?? part)];
  });
  return { context: Object.fromEntries(merged) as PerformContext, done, proposals };
}

const factDigest = (journey: Journey, type: FactType) => digest.parse(journey.migrations[0]?.facts[type]?.digest);

/** What evidence says when it is true of the sample migration. */
export const about = (journey: Journey, kind: string, domain: TrustDomain = CSP_A) => {
  const [m] = journey.migrations;
  if (m === undefined) throw new Error('no migration');
  return {
    kind,
    domain,
    host: 'host-1',
    vm: m.vm,
    migration: m.id satisfies typeof M,
    epoch: m.epoch,
    time: START,
    facts: { was: 'running' },
  };
};
export const pinned = (agent: PinnedAgent) => ({ agent });
