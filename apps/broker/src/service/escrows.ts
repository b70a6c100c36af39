import { type DsseEnvelope, type KeyId, keyId, type Timestamp } from '@carnet/events';
import type { Custodian, DrillView, Escrow, Escrows, Recovery, Refusal, Result, Said } from '@carnet/keys';
import { DEK_VERSION } from '../keys/handover-keys.ts';
import type { ServiceRefusal, ServiceResult } from './result.ts';

export interface CustodianRow {
  readonly custodian: string;
  /** SHA-256 of the sealing key. */
  readonly sealingKey: string;
  readonly enrolledAt: string;
}
export interface EscrowRow {
  readonly escrow: string;
  readonly state: string;
  readonly key: string;
  readonly vm: string;
  readonly threshold: number;
  readonly custodians: readonly string[];
  /** Digest of the signed manifest. */
  readonly digest: string;
  readonly createdAt: string;
  readonly by: string;
  readonly reason: string;
}
export interface DrillRow {
  readonly drill: string;
  readonly escrow: string;
  readonly state: 'open' | 'concluded';
  readonly reason: string;
  readonly by: string;
  readonly at: string;
  readonly notAfter: string;
  readonly proven: readonly string[];
  /** Who had not proven possession when it was concluded. */
  readonly failed?: readonly string[];
  readonly concludedAt?: string;
  readonly envelope: DsseEnvelope;
}
export interface RecoveryRow {
  readonly recovery: string;
  readonly escrow: string;
  readonly state: string;
  readonly asker: string;
  readonly reason: string;
  readonly at: string;
  readonly notAfter: string;
  /** Digest of the CSP's signed request: what custodians approve. */
  readonly digest: string;
  readonly envelope: DsseEnvelope;
  readonly approvals: readonly {
    readonly custodian: string;
    readonly reason: string;
    readonly at: string;
    readonly digest: string;
  }[];
  /** Digest of the statement that the key was recovered. */
  readonly outcome?: string;
}
/** `manifest` and `shares`: what a custodian opens his share by. Shares in the order of the manifest's seats. Nothing of it is secret. */
export interface EscrowDetail extends EscrowRow {
  readonly manifest: DsseEnvelope;
  readonly shares: readonly { readonly enc: string; readonly ct: string }[];
  readonly drills: readonly DrillRow[];
  readonly recoveries: readonly RecoveryRow[];
}

export interface EscrowWish {
  readonly key: string;
  readonly threshold: number;
  readonly custodians: readonly string[];
  readonly reason: string;
}

/** M-of-N escrow: `by` is the principal at the door; a `Said` proves itself. */
export interface EscrowService {
  readonly custodians: () => Promise<readonly CustodianRow[]>;
  readonly enroll: (said: Said) => Promise<ServiceResult<CustodianRow>>;
  readonly escrows: (filter: { readonly key?: string }) => Promise<readonly EscrowRow[]>;
  readonly escrow: (id: string) => Promise<ServiceResult<EscrowDetail>>;
  readonly create: (wish: EscrowWish, by: string) => Promise<ServiceResult<EscrowDetail>>;
  readonly openDrill: (
    escrow: string,
    wish: { readonly reason: string; readonly notAfter: Timestamp },
    by: string,
  ) => Promise<ServiceResult<DrillRow>>;
  readonly drill: (id: string) => Promise<ServiceResult<DrillRow>>;
  readonly prove: (said: Said) => Promise<ServiceResult<DrillRow>>;
  readonly conclude: (drill: string, by: string) => Promise<ServiceResult<DrillRow>>;
  readonly ask: (said: Said) => Promise<ServiceResult<RecoveryRow>>;
  readonly recovery: (id: string) => Promise<ServiceResult<RecoveryRow>>;
  readonly approve: (said: Said) => Promise<ServiceResult<RecoveryRow>>;
  readonly recover: (recovery: string, by: string) => Promise<ServiceResult<RecoveryRow>>;
}

const refuse = (code: string, text: string): ServiceRefusal => ({ ok: false, code, text });

/** A refusal of the key manager for people: its sentence, and what stands in the way. */
const refusedAs = ({ code, text, got }: Refusal): ServiceRefusal => refuse(code, got === undefined ? text : `${text} ${got}`);

const shown = <T, R>(result: Result<T>, show: (value: T) => R): ServiceResult<R> =>
  result.ok ? { ok: true, value: show(result.value) } : refusedAs(result);

export function createEscrowService(escrows: Escrows, tell: () => void): EscrowService {
  const detail = async (id: string): Promise<ServiceResult<EscrowDetail>> => {
    const found = await escrows.find(id);
    if (found === undefined) return refuse('ESCROW_UNKNOWN', 'no such escrow');
    const [drills, recoveries] = [await escrows.drills(id), await escrows.recoveries(id)];
    const { envelope: manifest, shares } = found;
    return {
      ok: true,
      value: { ...escrowRow(found), manifest, shares, drills: drills.map(drillRow), recoveries: recoveries.map(recoveryRow) },
    };
  };
  /** A step that peers are owed an event about. */
  const told = <T>(result: T): T => {
    tell();
    return result;
  };
  return {
    custodians: async () => (await escrows.custodians()).map(custodianRow),
    enroll: async (said) => shown(await escrows.enroll(said), custodianRow),
    escrows: async (filter) => (await escrows.list(filter)).map(escrowRow),
    escrow: detail,
    create: async ({ key, ...wish }, by) => {
      const known = keyId.safeParse(key);
      if (!known.success) return refuse('KEY_UNKNOWN', 'no such key');
      const made = await escrows.create({ ...wish, key: known.data satisfies KeyId, version: DEK_VERSION, by });
      return made.ok ? told(await detail(made.value.escrow)) : refusedAs(made);
    },
    openDrill: async (escrow, wish, by) => shown(await escrows.openDrill({ escrow, by, ...wish }), drillRow),
    drill: async (id) => shown(await escrows.drill(id), drillRow),
    prove: async (said) => shown(await escrows.prove(said), drillRow),
    conclude: async (drill, by) => told(shown(await escrows.closeDrill({ drill, by }), drillRow)),
    ask: async (said) => told(shown(await escrows.ask(said), recoveryRow)),
    recovery: async (id) => shown(await escrows.recovery(id), recoveryRow),
    approve: async (said) => told(shown(await escrows.approve(said), recoveryRow)),
    recover: async (recovery, by) => told(shown(await escrows.recover({ recovery, by }), recoveryRow)),
  };
}

const custodianRow = ({ custodian, sealingKey, enrolledAt }: Custodian): CustodianRow => ({ custodian, sealingKey, enrolledAt });

const escrowRow = ({ escrow, state, digest, manifest: { terms, at, by, reason } }: Escrow): EscrowRow => ({
  escrow,
  state,
  key: terms.key,
  vm: terms.vm,
  threshold: terms.threshold,
  custodians: terms.seats.map(({ custodian }) => custodian),
  digest,
  createdAt: at,
  by,
  reason,
});

const drillRow = ({ drill: d, proven, conclusion, envelope }: DrillView): DrillRow => ({
  drill: d.drill,
  escrow: d.escrow,
  state: conclusion === undefined ? 'open' : 'concluded',
  reason: d.reason,
  by: d.by,
  at: d.at,
  notAfter: d.notAfter,
  proven,
  ...(conclusion === undefined ? {} : { failed: conclusion.failed, concludedAt: conclusion.at }),
  envelope,
});

const recoveryRow = ({ recovery, state, request, digest, envelope, approvals, outcome }: Recovery): RecoveryRow => ({
  recovery,
  escrow: request.said.escrow,
  state,
  asker: request.said.asker,
  reason: request.said.reason,
  at: request.at,
  notAfter: request.said.notAfter,
  digest,
  envelope,
  approvals: approvals.map(({ custodian, reason, at, digest: approval }) => ({ custodian, reason, at, digest: approval })),
  ...(outcome === undefined ? {} : { outcome }),
});
