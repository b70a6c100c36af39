import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Timestamp, timestamp, trustDomain } from '@carnet/events';
import { openStore, type Store, type StoreTarget, type Tx } from '@carnet/store';
import { vi } from 'vitest';
import { openEmptyStore } from '../../../store/src/testing.ts';
import { atomically } from '../atomically.ts';
import { type KeyRoot, keyProcessFor } from '../backends/service.ts';
import type { BarbicanOptions } from '../backends/session.ts';
import type { KeyProcess } from '../child/pool.ts';
import { type KeyManager, openKeyManager } from '../open.ts';
import type { Prepared } from '../ports.ts';
import type { Result } from '../result.ts';
import { createRootFile } from '../root-file.ts';
import { tenant } from '../vault/hierarchy.ts';

export { inlineProcess } from './inline-process.ts';

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
  const store = await (options.target === undefined
    ? openEmptyStore(join(dir, 'db'))
    : openStore({ ...options.target, log: silent, applicationName: 'keys-test' }));
  const domain = trustDomain.parse(options.domain ?? 'csp-a.example');
  const actor = `spiffe://${domain}/broker`;
  const { barbican, now = () => NOW } = options;
  const keys = must(
    await openKeyManager({
      store,
      root,
      ...(barbican === undefined ? {} : { barbican }),
      spareDir: join(dir, 'spares'),
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

/** In one transaction that is rolled back on a refusal, as the journal does. */
export const within = <T>(side: Side, work: (tx: Tx) => Promise<Result<T>>): Promise<Result<T>> =>
  atomically(side.store.db, work);

export async function record<T>(side: Side, prepared: Result<Prepared<T>>): Promise<Result<T>> {
  return prepared.ok ? within(side, prepared.value.record) : prepared;
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
      spareDir: join(of.dir, 'spares'),
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
