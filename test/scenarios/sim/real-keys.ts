import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type HostName, type TrustDomain, timestamp } from '@carnet/events';
import { createHostKeyPair, type Prepared, type Result } from '@carnet/keys';
import type { Tx } from '@carnet/store';
import { sql } from 'kysely';
import { secretOpener } from '../../../apps/agent/src/secrets.ts';
import { brokerPrincipal } from '../../../apps/broker/src/keys/grants.ts';
import { createHandoverKeys, granted, type HandoverKeys } from '../../../apps/broker/src/keys/handover-keys.ts';
import { tenantOf } from '../../../apps/broker/src/keys/projects.ts';
import { BARBICAN_CHANGES } from '../../../libs/keys/src/backends/barbican/changes.ts';
import { type KeyService, openKeyService } from '../../../libs/keys/src/backends/service.ts';
import { ESCROW_CHANGES } from '../../../libs/keys/src/escrow/tables.ts';
import { OPERATION_MS_MAX } from '../../../libs/keys/src/limits.ts';
import { keyManager } from '../../../libs/keys/src/open.ts';
import type { KeyPorts } from '../../../libs/keys/src/ports.ts';
import { KEY_CHANGES } from '../../../libs/keys/src/records/changes.ts';
import { onKeys } from '../../../libs/keys/src/records/tables.ts';
import { createRootFile } from '../../../libs/keys/src/root-file.ts';
import { decodeSpare, encodeSpare, fileNameOf, nameFrom, nameOf } from '../../../libs/keys/src/spares/spare.ts';
import type { Spares } from '../../../libs/keys/src/spares/spares.ts';
import { inlineProcess } from '../../../libs/keys/src/testing/inline-process.ts';
import { DISK_KEY, SPEC, VM } from '../../../libs/saga/src/testing.ts';
import type { Custody, ReplicaKeyPorts, ReplicaKeys, SpareFiles } from './custody.ts';
import { DOMAINS, hostOf } from './identities.ts';
import { type KeyRules, plainSecret } from './keys.ts';

/** scrypt's lowest legal cost: roots are opened once for a process. */
const COST = 16_384;
const MEAN_MS = 5;

/** A sealed root file, made and opened as the product does. */
async function rootOf(holder: TrustDomain): Promise<KeyService> {
  const dir = await mkdtemp(join(tmpdir(), 'carnet-simulate-'));
  const [path, passphrase] = [join(dir, 'root.json'), join(dir, 'passphrase')];
  await writeFile(passphrase, `${randomBytes(24).toString('base64')}\n`);
  await chmod(passphrase, 0o600);
  const unlock = { kind: 'file', path: passphrase } as const;
  const process = inlineProcess();
  const made = await createRootFile({ path, unlock, process, random: randomBytes, cost: COST });
  if (!made.ok) throw new Error(`root of ${holder}: ${made.code}`);
  const opened = await openKeyService({ root: { kind: 'file', path, unlock }, holder, process });
  await rm(dir, { recursive: true });
  if (!opened.ok) throw new Error(`root of ${holder}: ${opened.code}`);
  return opened.value;
}

/** The key manager itself: sealed root, tenant KEKs, HPKE to peers and hosts. Only who serves its operations differs: no child process. */
export async function realKeys(): Promise<Custody> {
  const roots = new Map<TrustDomain, KeyService>();
  const pairs = new Map<HostName, { readonly privateKey: Uint8Array; readonly publicKey: string }>();
  for (const domain of DOMAINS) {
    roots.set(domain, await rootOf(domain));
    pairs.set(hostOf(domain), await createHostKeyPair());
  }
  const pairOf = (host: HostName) => {
    const pair = pairs.get(host);
    if (pair === undefined) throw new Error(`no host ${host}`);
    return pair;
  };
  return {
    kind: 'real',
    changes: [KEY_CHANGES, BARBICAN_CHANGES, ESCROW_CHANGES],
    hostKey: (host) => pairOf(host).publicKey,
    openerOf: (host, scheduler) => {
      const open = secretOpener(pairOf(host).privateKey);
      return async (secret, context) => {
        // Somebody at the console gives the key itself.
        const plain = await plainSecret(secret, context);
        return plain.ok ? plain : scheduler.outside(() => open(secret, context));
      };
    },
    open: (ports) => openKeys(ports, roots),
    isActive: (database) => database.rows(`select key from keys_holdings where kind = 'disk' and state = 'active'`).length > 0,
    isKept: (database) =>
      database.rows(`select key from keys_holdings where kind = 'disk' and state <> 'destroyed' and wrapped is not null`).length >
      0,
    isSpared: (database, spares) => {
      const kept = [...spares.keys()].flatMap((file) => nameFrom(file) ?? []);
      return database
        .rows(
          `select key, arrival from keys_holdings
           where (arrival > 0 or replaces is not null) and state <> 'destroyed' and wrapped is not null`,
        )
        .every(({ key, arrival }) => kept.some((name) => name.key === key && name.arrival === arrival));
    },
    left: (database, needed) => {
      const holdings = database.rows(
        `select key, kind, state from keys_holdings where state <> 'destroyed' or wrapped is not null`,
      );
      const held = holdings.find(({ key }) => !needed.includes(String(key)));
      const [opener] = database.rows(
        `select 'a release key' as what from keys_deposits where secrets is not null
         union select 'a migration key' from keys_imports where private_key is not null`,
      );
      if (held !== undefined) return `a ${String(held['kind'])} key is ${String(held['state'])}`;
      return opener === undefined ? undefined : String(opener['what']);
    },
  };
}

/** The spares of one CSP as the product writes them, in a directory that survives everything. */
function sparesIn(files: SpareFiles): Spares {
  const list = async () => [...files.keys()].flatMap((file) => nameFrom(file) ?? []);
  return {
    list,
    keep: async (spare) => void files.set(fileNameOf(nameOf(spare)), encodeSpare(spare)),
    read: async (name) => {
      const text = files.get(fileNameOf(name));
      return text === undefined ? 'missing' : (decodeSpare(text, name) ?? 'broken');
    },
    erase: async (which) => {
      const names = (await list()).filter(which);
      for (const name of names) files.delete(fileNameOf(name));
      return names.length;
    },
  };
}

function openKeys(
  { scheduler, faults, life, store, spares, domain, registry, nowMs, random, rules, durable }: ReplicaKeyPorts,
  roots: ReadonlyMap<TrustDomain, KeyService>,
): ReplicaKeys {
  const service = roots.get(domain);
  if (service === undefined) throw new Error(`no root of ${domain}`);
  const actor = brokerPrincipal(domain);
  const ports: KeyPorts = {
    db: onKeys(store.db),
    call: (operation, input) =>
      scheduler.inTime(life, OPERATION_MS_MAX, () =>
        scheduler.point(
          life,
          scheduler.latency(MEAN_MS),
          () => faults.fate('key operation', ['not-done', 'unreported', 'twice', 'never', 'unanswered']),
          () => scheduler.outside(() => service.call(operation, input)),
        ),
      ),
    announce: async () => undefined,
    spares: sparesIn(spares),
    durable,
    actor,
    now: () => timestamp.parse(new Date(nowMs()).toISOString()),
    random,
  };
  const keys = keyManager(ports, store.db, () => undefined);
  const handover = createHandoverKeys({
    keys,
    store,
    domain,
    registry,
    roleOf: () => ['operator'],
    arriving: '0x647a',
  });
  return {
    handover: broken(handover, rules),
    manager: keys,
    create: async () => {
      const [disk] = SPEC.disks;
      if (disk === undefined) throw new Error('the VM has no disk');
      const prepared = granted(
        await keys.createDek({
          key: DISK_KEY,
          tenant: tenantOf(domain, VM, SPEC),
          vm: VM,
          artifact: disk.artifact,
          kind: 'disk',
          derivation: 'luks-passphrase-hex',
          capacityBytes: disk.capacityBytes,
          reason: 'the VM is born',
        }),
      );
      granted(await store.db.transaction().execute((tx) => prepared.record(tx)));
    },
  };
}

/** A mutant's key manager forgets one of its rules; without a mutant it is the given one. */
function broken(keys: HandoverKeys, rules: KeyRules): HandoverKeys {
  return {
    ...keys,
    ...(rules.imports === 'on-release' ? {} : { acknowledge: activating(keys.acknowledge, rules.imports) }),
    ...(rules.keepsReleased ? { release: activating(keys.release) } : {}),
  };
}

const activating =
  <C, T>(prepare: (command: C) => Promise<Result<Prepared<T>>>, when: KeyRules['imports'] = 'on-deposit') =>
  async (command: C): Promise<Result<Prepared<T>>> => {
    const prepared = await prepare(command);
    if (!prepared.ok) return prepared;
    const record = async (tx: Tx): Promise<Result<T>> => {
      const recorded = await prepared.value.record(tx);
      const before = sql`select 1 from keys_holdings before where before.key = ${DISK_KEY} and before.state = 'destroyed'`;
      const known = when === 'on-any-release' ? sql`and exists (${before})` : sql``;
      if (recorded.ok)
        await sql`update keys_holdings set state = 'active' where key = ${DISK_KEY} and state <> 'destroyed' ${known}`.execute(
          tx,
        );
      return recorded;
    };
    return { ok: true, value: { record } };
  };
