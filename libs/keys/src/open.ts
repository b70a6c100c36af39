import type { KeyId, MigrationId, Timestamp, TrustDomain } from '@carnet/events';
import { type Db, runChanges, type Store, type Tx } from '@carnet/store';
import { announce } from './backends/barbican/announced.ts';
import { BARBICAN_CHANGES } from './backends/barbican/changes.ts';
import { type Settled, settleSecrets } from './backends/barbican/settle.ts';
import { settleMigrationKeys } from './backends/pkcs11/settle.ts';
import { type KeyRoot, type KeyService, openKeyService } from './backends/service.ts';
import type { BarbicanOptions } from './backends/session.ts';
import type { Random } from './bytes.ts';
import { REWRAP } from './child/operations.ts';
import type { KeyProcess } from './child/pool.ts';
import { closingOnFailure } from './closing.ts';
import * as deks from './deks.ts';
import { escrowsOf } from './escrow/open.ts';
import type { EscrowContext } from './escrow/ports.ts';
import { ESCROW_CHANGES } from './escrow/tables.ts';
import * as acknowledge from './handover/acknowledge.ts';
import * as bringing from './handover/bring-back.ts';
import { type ReleasedByLedger, releasedByLedger, sharedByLedger } from './handover/by-ledger.ts';
import { type Acknowledgement, confirmAcknowledgement } from './handover/confirm.ts';
import { type DepositRequest, deposit } from './handover/deposit.ts';
import { type Ending, unendedOf } from './handover/deposits.ts';
import { type Retiring, resume, retire } from './handover/ending.ts';
import * as target from './handover/import.ts';
import { stillHoldingOf, undiscardedOf } from './handover/imports.ts';
import { type ReleaseRequest, release } from './handover/release.ts';
import { type HostSealRequest, sealForHost } from './hosts.ts';
import * as operating from './operate.ts';
import * as words from './own-words.ts';
import type { KeyPorts } from './ports.ts';
import { KEY_CHANGES } from './records/changes.ts';
import { consumersByKey } from './records/consumers.ts';
import { historyLines } from './records/export.ts';
import { type KeyVersion, type Listing, undestroyedOf } from './records/holding.ts';
import { keksOf } from './records/keks.ts';
import { consumersSince, pageOfTenant, type TenantPage } from './records/of-tenant.ts';
import * as reports from './records/reports.ts';
import { inTransaction, onKeys } from './records/tables.ts';
import * as replacement from './replacement.ts';
import { ok, type Result } from './result.ts';
import { loseKeks } from './root-lost.ts';
import * as rotation from './rotation.ts';
import { openSpareEraser } from './spares/erase.ts';
import { settleSpares } from './spares/settle.ts';
import { openSpares } from './spares/spares.ts';
import * as uses from './uses/chain.ts';

export type KeyManagerOptions = {
  readonly store: Pick<Store, 'db'>;
  /** What wraps everything that lies in our own database. */
  readonly root: KeyRoot;
  /** Where DEKs lie. Absent: in our own database. */
  readonly barbican?: BarbicanOptions;
  /** One directory for each replica, durable and outside of the database's: what a restored database does not bring back. */
  readonly spareDir: string;
  /**
   * Returns once the events by which rows read before say what they say are durable outside of the database. Asked before something is destroyed
   * elsewhere because a row says so: a restore could undo the row, and the key would be needed again. Absent: there is no ledger beside.
   */
  readonly durable?: () => Promise<void>;
  /** This CSP. */
  readonly domain: TrustDomain;
  /** SPIFFE ID of this service: the actor of what it does by itself. */
  readonly actor: string;
  readonly now: () => Timestamp;
  readonly random: Random;
  /** Default: child processes of this lib. */
  readonly process?: KeyProcess;
};

export type KeyManager = ReturnType<typeof keyManager>;

/**
 * Opens the key manager: unlocks the root, brings its tables up to date, and checks that root and database belong together. The root key
 * (or the PIN of its token) is held until `close`, which zeroes it; tenant KEKs and DEKs are opened in child processes only.
 */
export async function openKeyManager(options: KeyManagerOptions): Promise<Result<KeyManager>> {
  const opened = await openPorts(options);
  if (!opened.ok) return opened;
  const { ports, close } = opened.value;
  return closingOnFailure(close, async () => {
    const belongs = await opensSomeKek(ports);
    return belongs.ok ? ok(keyManager(ports, options.store.db, close)) : belongs;
  });
}

/**
 * Says that the root which wraps this database's KEKs is gone for ever, so that the one that is there now may begin beside it: what was under the
 * old one stays unopenable until an escrow brings it back. Refused while the present root opens anything. Answers how many KEKs were lost.
 */
export async function declareRootLost(options: KeyManagerOptions): Promise<Result<number>> {
  const opened = await openPorts(options);
  if (!opened.ok) return opened;
  try {
    return await loseKeks(opened.value.ports);
  } finally {
    opened.value.close();
  }
}

async function openPorts(options: KeyManagerOptions): Promise<Result<{ readonly ports: KeyPorts; readonly close: () => void }>> {
  const { root, barbican, domain, process } = options;
  const opened = await openKeyService({
    root,
    holder: domain,
    ...(barbican === undefined ? {} : { barbican }),
    ...(process === undefined ? {} : { process }),
  });
  if (!opened.ok) return opened;
  const service = opened.value;
  return closingOnFailure(service.close, async () => ok({ ports: await portsOver(service, options), close: service.close }));
}

async function portsOver(service: KeyService, options: KeyManagerOptions): Promise<KeyPorts> {
  await runChanges(options.store, KEY_CHANGES);
  await runChanges(options.store, BARBICAN_CHANGES);
  await runChanges(options.store, ESCROW_CHANGES);
  const spares = await openSpares(options.spareDir, options.random);
  const db = onKeys(options.store.db);
  return {
    db,
    call: service.call,
    announce: async (holdings) => {
      if (service.barbican !== undefined) await announce(db, holdings, options.now());
    },
    spares,
    durable: options.durable ?? (async () => undefined),
    ...(service.barbican === undefined ? {} : { barbican: service.barbican }),
    actor: options.actor,
    now: options.now,
    random: options.random,
  };
}

/** A root file restored beside another database is noticed now, not at the first migration. */
async function opensSomeKek(ports: KeyPorts): Promise<Result<unknown>> {
  const some = await ports.db.selectFrom('keys_keks').select('tenant').where('lost_at', 'is', null).limit(1).executeTakeFirst();
  return some === undefined ? ok(null) : ports.call(REWRAP, { keks: await keksOf(ports.db, some.tenant), deks: [] });
}

/** Reads anew, this often, when a rotation moved rows and destroyed their KEK between two reads. */
const READS_MAX = 3;

async function again<T>(work: () => Promise<Result<T>>): Promise<Result<T>> {
  for (let n = 1; ; n++) {
    const result = await work();
    if (result.ok || result.code !== 'KEK_UNKNOWN' || n >= READS_MAX) return result;
  }
}

/** What other key managers and tokens should be told. */
async function settleAll(ports: KeyPorts): Promise<Settled> {
  const secrets = await settleSecrets(ports);
  const tokens = await settleMigrationKeys(ports);
  return tokens.ok
    ? { ...secrets, destroyed: secrets.destroyed + tokens.value }
    : { ...secrets, refused: [...secrets.refused, tokens] };
}

/** Every function answers a value or a refusal; accidents (database, child process) throw. */
export const keyManager = (ports: KeyPorts, db: Db, close: () => void) => {
  const eraser = openSpareEraser(ports);
  return {
    createDek: (wanted: deks.NewDek) => deks.createDek(ports, wanted),
    list: (filter: Listing = {}) => deks.listKeys(ports, filter),
    show: (key: KeyVersion) => deks.showKey(ports, key),
    consumersOf: (keys: readonly KeyId[]) => consumersByKey(ports.db, keys),
    pageOfTenant: (page: TenantPage) => pageOfTenant(ports.db, page),
    consumersSince: (key: KeyId) => consumersSince(ports.db, key),
    changeState: (tx: Tx, wanted: deks.StateChange) => deks.changeState(ports, tx, wanted),
    operate: (tx: Tx, wanted: operating.OperatorChange) => operating.operate(ports, tx, wanted),
    owedAnnouncements: () => operating.owedAnnouncements(ports),
    tellOnce: (tx: Tx, announcement: operating.Announcement) => operating.tellOnce(ports, tx, announcement),
    wordsHome: (said: readonly words.OwnWord[]) => words.wordsHome(ports.db, said),
    keepWord: (tx: Tx, word: words.KeepingWord) => words.keepWord(ports, tx, word),
    reportsRead: (peer: TrustDomain) => reports.reportsRead(ports.db, peer),
    reportedCompromised: () => reports.reportedCompromised(ports.db),
    isShared: (report: reports.Report) => reports.isShared(ports.db, report),
    noteReport: (tx: Tx, report: reports.ReportReceived) => reports.noteReport(inTransaction(tx), report, ports.now()),
    markReportsRead: (tx: Tx, peer: TrustDomain, seq: number) => reports.markReportsRead(inTransaction(tx), peer, seq),
    addConsumer: (tx: Tx, key: KeyId, consumer: string) => deks.addConsumer(ports, tx, key, consumer),
    need: (tx: Tx, key: KeyVersion, consumer: string) => deks.need(ports, tx, key, consumer),
    removeConsumer: (tx: Tx, key: KeyId, consumer: string) => deks.removeConsumer(tx, key, consumer),
    rotateSome: (request: rotation.RotationRequest) => rotation.rotateSome(ports, request),
    rotateKek: (request: rotation.RotationRequest) => rotation.rotateKek(ports, request),

    deposit: (request: DepositRequest) => again(() => deposit(ports, request)),
    confirmAcknowledgement: (request: Acknowledgement) => again(() => confirmAcknowledgement(ports, request)),
    release: (request: ReleaseRequest) => again(() => release(ports, request)),
    resume: (tx: Tx, ending: Ending) => resume(ports, tx, ending),
    unendedOf: (migrations: readonly MigrationId[]) => unendedOf(ports.db, migrations),
    retire: (tx: Tx, retiring: Retiring) => retire(ports, tx, retiring),
    sharedByLedger,
    releasedByLedger: (tx: Tx, released: ReleasedByLedger) => releasedByLedger(ports, tx, released),

    createMigrationKeyPair: (request: acknowledge.KeyPairRequest) => acknowledge.createMigrationKeyPair(ports, request),
    acknowledge: (request: acknowledge.DepositReceived) => again(() => acknowledge.acknowledge(ports, request)),
    openRelease: (request: target.ReleaseReceived) => again(() => target.openRelease(ports, request)),
    importKeys: (tx: Tx, request: Parameters<typeof target.importKeys>[2]) => target.importKeys(ports, tx, request),
    discard: (tx: Tx, ending: Ending) => target.discard(ports, tx, ending),
    undestroyedOf: (keys: readonly KeyId[]) => undestroyedOf(ports.db, keys),
    undiscardedOf: (migrations: readonly MigrationId[]) => undiscardedOf(ports.db, migrations),
    stillHoldingOf: (migrations: readonly MigrationId[]) => stillHoldingOf(ports.db, migrations),
    createReplacement: (wanted: replacement.ReplacementWanted) => replacement.createReplacement(ports, wanted),
    endReplaced: (tx: Tx, wanted: replacement.ReplacementWanted) => replacement.endReplaced(ports, tx, wanted),

    /** M-of-N escrow of keys that are held here. */
    escrows: (context: EscrowContext) => escrowsOf(ports, db, context),
    settleSecrets: () => settleAll(ports),
    settleSpares: async () => {
      const settled = await settleSpares(ports);
      if (settled.made > 0) eraser.again();
      return settled;
    },
    eraseSpares: eraser.erase,
    missingOf: (arrived: bringing.Arrived) => bringing.missingOf(ports, arrived),
    bringBack: (arrived: bringing.Arrived) => bringing.bringBack(ports, arrived),
    sealForHost: (request: HostSealRequest) => again(() => sealForHost(ports, request)),
    usesOf: (key: KeyId) => uses.usesOf(ports.db, key),
    historyLines: () => historyLines(ports.db),
    usesHead: () => uses.usesHead(ports.db),
    verifyUses: () => uses.verifyUses(ports.db),
    close,
  };
};
