import type {
  ArtifactId,
  DepositedKey,
  EventData,
  HostName,
  HpkeKem,
  KeyId,
  MigrationId,
  TrustDomain,
  VmId,
} from '@carnet/events';
import type { SealedSecret } from '@carnet/hypervisor';
import {
  type Acknowledgement,
  type BoundKey,
  type HostPurpose,
  type KeyManager,
  type Prepared,
  type ReplacementWanted,
  type Result,
  vmConsumer,
} from '@carnet/keys';
import type { Role } from '@carnet/policy';
import type { CommandOf, MigrationState } from '@carnet/saga';
import type { Db, Store, Tx } from '@carnet/store';
import type { HostRegistry } from '../hosts/registry.ts';
import type { DepositVolume } from '../perform/artifacts.ts';
import { arrivals } from './arrived.ts';
import { DEK_VERSION, diskKey, expectedOf, vtpmKeys } from './bound-keys.ts';
import { grantOf, type UseRight } from './grants.ts';
import { handoverOf } from './handover-of.ts';
import { tenantOf } from './projects.ts';
import { granted, KeyRefused } from './refused.ts';

export { DEK_VERSION } from './bound-keys.ts';
export { granted, KeyRefused } from './refused.ts';

/** A saved memory state's identity, and that of the key that seals it. */
export interface MemoryState {
  readonly artifact: ArtifactId;
  readonly key: KeyId;
}

/** Both ways to give the volumes that arrived keys of our own. */
export type Rekeying = CommandOf<'ReplaceKeys' | 'ReencryptVolumes'>;

/** A key that arrived, and the one that takes its place on the same volume. */
export interface Replacement {
  readonly old: DepositedKey;
  readonly key: KeyId;
  readonly version: number;
}

/** To whom a secret goes, for what, and by what right. */
export interface SecretFor {
  readonly host: HostName;
  readonly vm: VmId;
  readonly epoch: number;
  readonly purpose: HostPurpose;
  readonly by: UseRight;
}

/** The key manager in the words of the saga's commands. */
export interface HandoverKeys {
  readonly secretForHost: (to: SecretFor, key: KeyId) => Promise<SealedSecret>;
  readonly deposit: (
    command: CommandOf<'DepositKeys'>,
    volumes: readonly DepositVolume[],
    memory: MemoryState | undefined,
  ) => Promise<Result<Prepared<EventData<'KeyDeposited'>>>>;
  /** Whether the target holds what was deposited, by its MACs: for one that does not, nothing is stopped. */
  readonly confirm: (command: Pick<CommandOf<'QuiesceVm'>, 'migration' | 'epoch' | 'facts'>) => Promise<Result<null>>;
  /** Confirms as well: a deposit that the target cannot hold is never released. */
  readonly release: (command: CommandOf<'ReleaseKeys'>) => Promise<Result<Prepared<EventData<'KeyReleased'>>>>;
  /** The VM stays: suspended keys are active again, Krel is destroyed. Nothing was deposited: nothing to do. */
  readonly reinstate: (tx: Tx | undefined, of: { readonly migration: MigrationId; readonly epoch: number }) => Promise<void>;
  readonly retire: (tx: Tx, command: CommandOf<'RetireSource'>) => Promise<void>;
  readonly createMigrationKeyPair: (
    command: CommandOf<'AnswerIntent'>,
  ) => Promise<Result<Prepared<{ readonly kem: HpkeKem; readonly publicKey: string }>>>;
  readonly acknowledge: (command: CommandOf<'AcknowledgeDeposit'>) => Promise<Result<Prepared<EventData<'DepositAcknowledged'>>>>;
  /** Afterwards the keys are good for a trial unlock, and for nothing else. */
  readonly openRelease: (command: CommandOf<'ImportKeys'>) => Promise<Result<null>>;
  readonly importKeys: (tx: Tx, command: CommandOf<'ImportKeys'>) => Promise<EventData<'KeyImported'>>;
  /** A key of our own for each disk's, recorded and active; asked again, the same ones. */
  readonly replacements: (command: Rekeying) => Promise<readonly Replacement[]>;
  /** The keys that came open nothing any more: they are destroyed. */
  readonly endReplaced: (tx: Tx, command: Rekeying, keys: readonly DepositedKey[]) => Promise<void>;
  /** A memory key serves once: after the start, or the resume, it is destroyed. One that was never made is fine. */
  readonly memoryUsed: (tx: Tx, vm: VmId, keys: readonly { readonly key: KeyId; readonly kind: string }[]) => Promise<void>;
  /** Keys that came by this migration, by the ledger, and of which there is no record. */
  readonly missing: (m: MigrationState) => Promise<readonly unknown[]>;
  /** They come back from their spares, all or none. */
  readonly bringBack: (m: MigrationState) => Promise<Result<Prepared<unknown>>>;
  readonly discardImported: (
    tx: Tx,
    of: { readonly migration: MigrationId; readonly epoch: number },
  ) => Promise<readonly KeyId[]>;
}

export interface HandoverKeyPorts {
  readonly keys: KeyManager;
  readonly store: Store;
  readonly domain: TrustDomain;
  readonly registry: () => HostRegistry;
  readonly roleOf: (principal: string) => readonly Role[];
  /** What keys that come here are sealed to. */
  readonly arriving: HpkeKem;
}

const inTransaction = <T>(db: Db, work: (tx: Tx) => Promise<T>): Promise<T> => db.transaction().execute(work);
/** Nothing of this attempt is held: nothing is to be undone. */
const UNKNOWN: ReadonlySet<string> = new Set(['DEPOSIT_UNKNOWN', 'MIGRATION_KEY_UNKNOWN', 'KEY_UNKNOWN']);

const replacing = ({ method, epoch, facts }: Rekeying, { key, version }: DepositedKey): ReplacementWanted => ({
  key,
  version,
  reason: `replaced on arrival in epoch ${epoch}: ${method}`,
  cause: facts.KeyImported.digest,
});

export function createHandoverKeys(ports: HandoverKeyPorts): HandoverKeys {
  const { keys, store } = ports;
  const secretForHost = async ({ by, ...to }: SecretFor, key: KeyId): Promise<SealedSecret> => {
    const registry = ports.registry();
    const publicKey = registry.hello(to.host)?.publicKey;
    if (publicKey === undefined) {
      const code = registry.isSettled() ? 'HOST_UNAVAILABLE' : 'HOSTS_NOT_HEARD_YET';
      throw new KeyRefused(code, `host ${to.host} has not announced its key`);
    }
    const sealed = granted(
      await keys.sealForHost({
        context: { domain: ports.domain, ...to },
        keys: [{ key, version: DEK_VERSION }],
        publicKey,
        grant: grantOf(ports, by),
      }),
    );
    return { key, sealed: Buffer.from(JSON.stringify(sealed)).toString('base64') };
  };

  /** Asked again after a crash, it is the same key. */
  const memoryKey = async (
    command: CommandOf<'DepositKeys'>,
    { artifact, key }: MemoryState,
    besideDisk: KeyId,
  ): Promise<BoundKey> => {
    // Where the disk's key lies: the VM may have changed its project since that was made.
    const { tenant } = granted(await keys.show({ key: besideDisk, version: DEK_VERSION }));
    const prepared = granted(
      await keys.createDek({
        key,
        tenant,
        vm: command.vm,
        artifact,
        kind: 'memory',
        derivation: 'aes-256-gcm-stream',
        capacityBytes: 0,
        reason: `memory state of migration ${command.migration}`,
      }),
    );
    granted(await inTransaction(store.db, (tx) => prepared.record(tx)));
    return { key, version: DEK_VERSION, artifact, kind: 'memory', derivation: 'aes-256-gcm-stream', capacityBytes: 0 };
  };

  const confirm = async (acknowledgement: Acknowledgement): Promise<Result<null>> => {
    const confirmed = await keys.confirmAcknowledgement(acknowledgement);
    return confirmed.ok ? inTransaction(store.db, (tx) => confirmed.value.record(tx)) : confirmed;
  };

  return {
    secretForHost,
    confirm: ({ migration, epoch, facts: { KeyDeposited: deposit, DepositAcknowledged: acknowledged } }) =>
      confirm({ migration, epoch, deposit: deposit.digest, acknowledged }),
    deposit: async (command, volumes, memory) => {
      const disks = volumes.map(diskKey);
      const [first] = disks;
      const states = memory === undefined || first === undefined ? [] : [await memoryKey(command, memory, first.key)];
      const { kem } = command.facts.MigrationOffered.data;
      const vtpms = vtpmKeys(command.facts.MigrationIntended.data.spec);
      return keys.deposit({ handover: handoverOf(command), kem, keys: [...disks, ...vtpms, ...states] });
    },
    release: async (command) => {
      const {
        TargetReady: ready,
        ImageSealed: sealed,
        ImageVerified: verified,
        KeyDeposited: deposit,
        DepositAcknowledged: acknowledged,
      } = command.facts;
      const attempt = { migration: command.migration, epoch: command.epoch };
      const confirmed = await confirm({ ...attempt, deposit: deposit.digest, acknowledged });
      if (!confirmed.ok) return confirmed;
      const cites = {
        ready: ready.digest,
        sealed: sealed.digest,
        verified: verified.digest,
        deposit: deposit.digest,
        acknowledged: acknowledged.digest,
        roots: verified.data.roots,
      };
      return keys.release({ ...attempt, ...cites });
    },
    reinstate: async (tx, of) => {
      const resumed = tx === undefined ? await inTransaction(store.db, (own) => keys.resume(own, of)) : await keys.resume(tx, of);
      if (!resumed.ok && !UNKNOWN.has(resumed.code)) granted(resumed);
    },
    retire: async (tx, { migration, epoch, vm, facts }) => {
      const cause = facts.MigrationFinalized.digest;
      granted(await keys.retire(tx, { migration, epoch, cause, vm, keys: facts.KeyDeposited.data.keys }));
    },
    createMigrationKeyPair: ({ migration, epoch, vm, facts }) => {
      const { spec } = facts.MigrationIntended.data;
      return keys.createMigrationKeyPair({ migration, epoch, tenant: tenantOf(ports.domain, vm, spec), kem: ports.arriving });
    },
    acknowledge: ({ facts, ...command }) =>
      keys.acknowledge({
        handover: handoverOf({ ...command, facts }),
        deposit: facts.KeyDeposited,
        artifacts: expectedOf(facts.MigrationIntended.data.spec),
      }),
    openRelease: async ({ migration, epoch, facts }) => {
      const opened = await keys.openRelease({
        migration,
        epoch,
        release: facts.KeyReleased,
        acknowledged: facts.DepositAcknowledged.digest,
        roots: facts.ImageVerified.data.roots,
      });
      if (!opened.ok) return opened;
      const kept = await inTransaction(store.db, (tx) => opened.value.record(tx));
      return kept.ok ? { ok: true, value: null } : kept;
    },
    importKeys: async (tx, { migration, epoch, facts }) =>
      granted(await keys.importKeys(tx, { migration, epoch, release: facts.KeyReleased.digest })),
    replacements: async (command) => {
      const made: Replacement[] = [];
      for (const old of command.facts.KeyDeposited.data.keys.filter(({ kind }) => kind === 'disk')) {
        const prepared = granted(await keys.createReplacement(replacing(command, old)));
        const { key, version } = granted(await inTransaction(store.db, (tx) => prepared.record(tx)));
        made.push({ old, key, version });
      }
      return made;
    },
    endReplaced: async (tx, command, deposited) => {
      for (const old of deposited.filter(({ kind }) => kind === 'disk'))
        granted(await keys.endReplaced(tx, replacing(command, old)));
    },
    memoryUsed: async (tx, vm, used) => {
      for (const { key } of used.filter(({ kind }) => kind === 'memory')) {
        await keys.removeConsumer(tx, key, vmConsumer(vm));
        const destroyed = await keys.changeState(tx, {
          key,
          version: DEK_VERSION,
          to: 'destroyed',
          reason: 'memory state: single use is over',
        });
        if (!destroyed.ok && !UNKNOWN.has(destroyed.code)) granted(destroyed);
      }
    },
    ...arrivals(keys, ports.domain),
    discardImported: async (tx, of) => {
      const discarded = await keys.discard(tx, of);
      if (discarded.ok) return discarded.value;
      return UNKNOWN.has(discarded.code) ? [] : granted(discarded);
    },
  };
}
