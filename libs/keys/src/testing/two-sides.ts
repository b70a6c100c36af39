import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  artifactId,
  type Digest,
  digest,
  type EventData,
  epoch,
  type HpkeKem,
  keyId,
  migrationId,
  type Timestamp,
  timestamp,
  trustDomain,
  uuidv7,
  type VerifiedRoots,
  vmId,
} from '@carnet/events';
import { openStore, type Store, type StoreTarget, type Tx } from '@carnet/store';
import { vi } from 'vitest';
import { type KeyRoot, keyProcessFor } from '../backends/service.ts';
import type { BarbicanOptions } from '../backends/session.ts';
import type { Operation } from '../child/operation.ts';
import type { KeyProcess } from '../child/pool.ts';
import type { BoundKey, Handover } from '../context.ts';
import { type KeyManager, openKeyManager } from '../open.ts';
import type { Prepared } from '../ports.ts';
import { onKeys } from '../records/tables.ts';
import type { Result } from '../result.ts';
import { createRootFile } from '../root-file.ts';
import type { Grant } from '../uses/grant.ts';
import { tenant } from '../vault/hierarchy.ts';
import { HYBRID } from '../vault/hpke.ts';

// Two databases inside one process, on a machine shared with other suites, take longer than vitest's five seconds.
// The benchmark, which is no test, uses these sides too.
if (globalThis.process.env['VITEST'] !== undefined) vi.setConfig({ testTimeout: 120_000, hookTimeout: 180_000 });

export const NOW: Timestamp = timestamp.parse('2026-11-23T10:00:00.000Z');
export const NOT_AFTER: Timestamp = timestamp.parse('2026-11-23T12:00:00.000Z');
export const TENANT = tenant.parse('shop');
export const ACTOR = 'spiffe://csp-a.example/broker';
export const silent = { info: () => undefined, warn: () => undefined };

/** One CSP of a test: its own database, root file and key manager. */
export type Side = {
  readonly keys: KeyManager;
  readonly store: Store;
  readonly dir: string;
  /** SPIFFE ID of its service. */
  readonly actor: string;
  readonly close: () => Promise<void>;
};

/** Lowest legal scrypt cost: the tests are not about scrypt's time. */
const TEST_COST = 16_384;

export const must = <T>(result: Result<T>): T => {
  if (!result.ok) throw new Error(`refused: ${result.code} ${result.text} expected ${result.expected} got ${result.got}`);
  return result.value;
};

export type SideOptions = {
  readonly target?: StoreTarget;
  readonly process?: KeyProcess;
  readonly domain?: 'csp-a.example' | 'csp-b.example';
  /** Default: a sealed file of its own. */
  readonly root?: KeyRoot;
  readonly barbican?: BarbicanOptions;
  readonly now?: () => Timestamp;
};

export async function openSide(options: SideOptions = {}): Promise<Side> {
  const dir = mkdtempSync(join(tmpdir(), 'carnet-keys-'));
  const passphrase = join(dir, 'passphrase');
  writeFileSync(passphrase, `${randomBytes(24).toString('base64')}\n`);
  chmodSync(passphrase, 0o600);
  const unlock = { kind: 'file', path: passphrase } as const;
  const root = options.root ?? { kind: 'file', path: join(dir, 'root.json'), unlock };
  const process = options.process ?? keyProcessFor({ ...options, root });
  if (options.root === undefined)
    must(await createRootFile({ path: join(dir, 'root.json'), unlock, process, random: randomBytes, cost: TEST_COST }));
  const store = await openStore({ ...(options.target ?? { dir: join(dir, 'db') }), log: silent, applicationName: 'keys-test' });
  const domain = trustDomain.parse(options.domain ?? 'csp-a.example');
  const actor = `spiffe://${domain}/broker`;
  const { barbican, now = () => NOW } = options;
  const keys = must(
    await openKeyManager({
      store,
      root,
      ...(barbican === undefined ? {} : { barbican }),
      domain,
      actor,
      now,
      random: randomBytes,
      process,
    }),
  );
  return {
    keys,
    store,
    dir,
    actor,
    close: async () => {
      keys.close();
      await store.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** The operations in this process, through the same schemas and JSON: for tables of attacks, where a child for each row would take minutes. */
export function inlineProcess(): KeyProcess {
  const serve = async <I, O>(operation: Operation<I, O>, input: I, secret: Uint8Array) => {
    const served = await operation.serve(JSON.parse(JSON.stringify(input)), Buffer.from(secret), randomBytes);
    if (!served.result.ok) return { result: served.result, secret: served.secret };
    return { result: { ok: true as const, value: operation.output.parse(served.result.value) }, secret: served.secret };
  };
  return {
    call: async (operation, input, secret) => (await serve(operation, input, secret)).result,
    open: async (operation, input, secret) => {
      const served = await serve(operation, input, secret);
      return served.result.ok ? { ok: true, value: served.secret ?? Buffer.alloc(0) } : served.result;
    },
    close: () => undefined,
  };
}

/** In one transaction that is rolled back on a refusal, as the journal does. */
export async function within<T>(side: Side, work: (tx: Tx) => Promise<Result<T>>): Promise<Result<T>> {
  const refused: { result?: Result<T> } = {};
  try {
    return await side.store.db.transaction().execute(async (tx) => {
      const result = await work(tx);
      if (!result.ok) {
        refused.result = result;
        throw new Error('rolled back');
      }
      return result;
    });
  } catch (error) {
    if (refused.result === undefined) throw error;
    return refused.result;
  }
}

export async function record<T>(side: Side, prepared: Result<Prepared<T>>): Promise<Result<T>> {
  return prepared.ok ? within(side, prepared.value.record) : prepared;
}

/** The service's own right in a migration. */
export const granted = ({ handover }: Story, actor = ACTOR): Grant => ({
  principal: actor,
  reason: 'MIGRATION',
  migration: handover.migration,
});

/** The digest that an event with this data might have. */
export const digestOfData = (data: unknown): Digest =>
  digest.parse(createHash('sha256').update(JSON.stringify(data)).digest('hex'));
export const someDigest = (): Digest => digest.parse(randomBytes(32).toString('hex'));
export const newMigration = () => migrationId.parse(uuidv7(Date.parse(NOW), randomBytes(10)));
export const newVm = () => vmId.parse(`csp-a.example/${randomUUID()}`);

/** A VM with a disk and a memory state at A, and an agreement up to the offer. */
export type Story = {
  readonly handover: Handover;
  readonly kem: HpkeKem;
  readonly keys: readonly BoundKey[];
  readonly disks: readonly {
    readonly artifact: BoundKey['artifact'];
    readonly key: BoundKey['key'];
    readonly capacityBytes: number;
  }[];
};

export async function begin(a: Side, b: Side, over: Partial<Handover> = {}, kem = HYBRID): Promise<Story> {
  const migration = over.migration ?? newMigration();
  const attempt = over.epoch ?? epoch.parse(1);
  const vm = over.vm ?? newVm();
  const offered = must(await record(b, await b.keys.createMigrationKeyPair({ migration, epoch: attempt, tenant: TENANT, kem })));
  const keys: BoundKey[] = [];
  for (const kind of ['disk', 'memory'] as const) {
    const made = must(
      await record(
        a,
        await a.keys.createDek({
          key: keyId.parse(randomUUID()),
          tenant: TENANT,
          vm,
          artifact: artifactId.parse(randomUUID()),
          kind,
          derivation: kind === 'disk' ? 'luks-passphrase-hex' : 'aes-256-gcm-stream',
          capacityBytes: kind === 'disk' ? 1_073_741_824 : 268_435_456,
          reason: 'test',
        }),
      ),
    );
    const { key, version, artifact, derivation, capacityBytes } = made;
    keys.push({
      key,
      version,
      artifact,
      kind,
      derivation,
      capacityBytes,
      ...(kind === 'disk' ? { headerDigest: someDigest() } : {}),
    });
  }
  const handover: Handover = {
    migration,
    epoch: attempt,
    vm,
    source: trustDomain.parse('csp-a.example'),
    target: trustDomain.parse('csp-b.example'),
    intent: someDigest(),
    offer: someDigest(),
    agreed: someDigest(),
    publicKey: offered.publicKey,
    notAfter: NOT_AFTER,
    ...over,
  };
  const disks = keys
    .filter(({ kind }) => kind === 'disk')
    .map(({ artifact, key, capacityBytes }) => ({ artifact, key, capacityBytes }));
  return { handover, kem: offered.kem, keys, disks };
}

/** Deposit and acknowledgement, both recorded. */
export async function deposited(a: Side, b: Side, story: Story) {
  const data = must(await record(a, await a.keys.deposit(story)));
  const deposit = { digest: digestOfData(data), data };
  const ack = must(await record(b, await b.keys.acknowledge({ handover: story.handover, deposit, disks: story.disks })));
  const acknowledged = { digest: digestOfData(ack), data: ack };
  const { migration, epoch } = story.handover;
  must(await record(a, await a.keys.confirmAcknowledgement({ migration, epoch, deposit: deposit.digest, acknowledged })));
  return { deposit, acknowledged };
}

export const rootsOf = (story: Story): VerifiedRoots => story.keys.map(({ artifact }) => ({ artifact, root: someDigest() }));

/** And the release at A. */
export async function released(a: Side, b: Side, story: Story, before?: Awaited<ReturnType<typeof deposited>>) {
  const { deposit, acknowledged } = before ?? (await deposited(a, b, story));
  const roots = rootsOf(story);
  const { migration, epoch } = story.handover;
  const request = {
    migration,
    epoch,
    ready: someDigest(),
    sealed: someDigest(),
    verified: someDigest(),
    deposit: deposit.digest,
    acknowledged: acknowledged.digest,
    roots,
  };
  const data: EventData<'KeyReleased'> = must(await record(a, await a.keys.release(request)));
  return { deposit, acknowledged, roots, request, release: { digest: digestOfData(data), data } };
}

const TABLES = [
  'keys_keks',
  'keys_rotations',
  'keys_holdings',
  'keys_history',
  'keys_consumers',
  'keys_deposits',
  'keys_imports',
  'keys_secrets',
  'keys_handovers',
  'keys_announcements',
  'keys_reports',
  'keys_reports_read',
  'keys_uses',
  'keys_uses_head',
] as const;

/** Every row of this lib, as text: equal before and after a refusal. */
export async function snapshot(side: Side): Promise<string> {
  const db = onKeys(side.store.db);
  const rows: string[] = [];
  for (const table of TABLES) {
    const all = await db.selectFrom(table).selectAll().execute();
    rows.push(...all.map((row) => `${table} ${JSON.stringify(row)}`).sort());
  }
  return rows.join('\n');
}

/** A side on a database that others use too: the second replica of one CSP shares root file and database with the first. */
export async function openReplica(of: Side, target: StoreTarget): Promise<Side> {
  const store = await openStore({ ...target, log: silent, applicationName: 'keys-replica' });
  const unlock = { kind: 'file', path: join(of.dir, 'passphrase') } as const;
  const rootFile = join(of.dir, 'root.json');
  const keys = must(
    await openKeyManager({
      store,
      root: { kind: 'file', path: rootFile, unlock },
      domain: trustDomain.parse('csp-a.example'),
      actor: of.actor,
      now: () => NOW,
      random: randomBytes,
    }),
  );
  return {
    keys,
    store,
    dir: of.dir,
    actor: of.actor,
    close: async () => {
      keys.close();
      await store.close();
    },
  };
}

/** How a secret could show: raw, hexadecimal, and base64 at each of the three alignments. */
export function formsOf(secret: Uint8Array): readonly Buffer[] {
  const bytes = Buffer.from(secret);
  const base64 = [0, 1, 2].map((shift) =>
    Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .slice(4, 40),
  );
  const decimal = [...bytes.subarray(0, 12)].join(',');
  return [
    bytes,
    Buffer.from(bytes.toString('hex')),
    Buffer.from(bytes.toString('hex').toUpperCase()),
    Buffer.from(decimal),
    ...base64.map((text) => Buffer.from(text)),
  ];
}

export const holdsSecret = (haystack: Buffer, secret: Uint8Array): boolean =>
  formsOf(secret).some((form) => haystack.includes(form));
