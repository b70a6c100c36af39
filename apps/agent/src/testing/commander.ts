import { randomBytes, randomUUID } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type ArtifactId,
  artifactId,
  digest,
  type Epoch,
  epoch,
  type KeyId,
  keyId,
  type MigrationId,
  migrationId,
  timestamp,
  trustDomain,
  uuidv7,
  type VmId,
} from '@carnet/events';
import {
  type CommandOf,
  type HostAgent,
  type HostReply,
  type HostStep,
  hostCommand,
  hostReply,
  type ResultOf,
  type SealedSecret,
  type SecretPurpose,
} from '@carnet/hypervisor';
import { createRootFile, type Grant, type KeyManager, openKeyManager, startKeyProcess, tenant } from '@carnet/keys';
import { openEmptyStore } from '../../../../libs/store/src/testing.ts';
import { systemClock } from '../clock.ts';
import type { RealHost } from './two-hosts.ts';

export const freshMigration = (): MigrationId => migrationId.parse(uuidv7(Date.now(), randomBytes(10)));
export const BECAUSE = digest.parse('b'.repeat(64));

/** Made after `startTwoHosts`, whose user then owns its files. Stands for a broker: issues commands, seals secrets for a host with the real key manager. */
export type Commander = {
  readonly createKey: (artifact: ArtifactId, vm: VmId | undefined, kind: 'disk' | 'memory') => Promise<KeyId>;
  readonly secret: (host: RealHost, vm: VmId, key: KeyId, epoch: number, purpose: SecretPurpose) => Promise<SealedSecret>;
  close(): Promise<void>;
};

const TENANT = tenant.parse('shop');

export async function createCommander(): Promise<Commander> {
  const dir = mkdtempSync(join(tmpdir(), 'carnet-agent-'));
  const passphrase = join(dir, 'passphrase');
  writeFileSync(passphrase, `${randomBytes(24).toString('base64')}\n`);
  chmodSync(passphrase, 0o600);
  const rootFile = join(dir, 'root.json');
  const unlock = { kind: 'file', path: passphrase } as const;
  const keyProcess = startKeyProcess();
  must(await createRootFile({ path: rootFile, unlock, process: keyProcess, random: randomBytes, cost: 16_384 }));
  const store = await openEmptyStore(join(dir, 'db'));
  const now = () => systemClock.now();
  const actor = 'spiffe://csp-a.example/broker';
  const keys: KeyManager = must(
    await openKeyManager({
      store,
      root: { kind: 'file', path: rootFile, unlock },
      spareDir: join(dir, 'spares'),
      domain: trustDomain.parse('csp-a.example'),
      actor,
      now,
      random: randomBytes,
      process: keyProcess,
    }),
  );
  const images = new Set<KeyId>();
  return {
    createKey: async (artifact, vm, kind) => {
      const derivation = kind === 'disk' ? 'luks-passphrase-hex' : 'aes-256-gcm-stream';
      const made = must(
        await keys.createDek({
          tenant: TENANT,
          ...(vm === undefined ? {} : { vm }),
          artifact,
          kind,
          derivation,
          capacityBytes: 0,
          reason: 'test',
        }),
      );
      const { key: id } = must(await store.db.transaction().execute((tx) => made.record(tx)));
      if (vm === undefined) images.add(id);
      return id;
    },
    secret: async (host, vm, key, epochOf, purpose) => {
      const { publicKey } = await host.agent.agent.hello();
      const context = { domain: host.config.domain, host: host.config.host, vm, epoch: epochOf, purpose };
      const outside = images.has(key) ? ('IMAGE_COPY' as const) : ('VM_START' as const);
      const grant: Grant =
        epochOf === 0
          ? { principal: 'tester', reason: outside }
          : { principal: actor, reason: 'MIGRATION', migration: freshMigration() };
      const sealed = must(await keys.sealForHost({ context, keys: [{ key, version: 1 }], publicKey, grant }));
      return { key, sealed: Buffer.from(JSON.stringify(sealed)).toString('base64') };
    },
    close: async () => {
      keys.close();
      await store.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

type Refusable<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly code: string; readonly text: string };
function must<T>(result: Refusable<T>): T {
  if (!result.ok) throw new Error(`${result.code}: ${result.text}`);
  return result.value;
}

export const aVm = (domain: string): VmId => `${domain}/${randomUUID()}` as VmId;
export const anArtifact = (): ArtifactId => artifactId.parse(randomUUID());
export const someEpoch = (n: number): Epoch => epoch.parse(n);
export const someKey = (): KeyId => keyId.parse(randomUUID());

export type Attempt = { readonly vm: VmId; readonly migration: MigrationId; readonly epoch: Epoch };

/** Asks one step until it is no longer running. */
export async function ask(agent: HostAgent, draft: object): Promise<HostReply> {
  const command = hostCommand.parse({
    id: randomUUID(),
    deadline: timestamp.parse(new Date(Date.now() + 600_000).toISOString()),
    ...('migration' in draft ? { attempt: 1, because: BECAUSE } : {}),
    ...draft,
  });
  for (;;) {
    const reply = hostReply.parse(JSON.parse(JSON.stringify(await agent.handle(command))));
    if (reply.status !== 'running') return reply;
  }
}

/** The result of a step of a migration that must succeed. */
export async function step<S extends HostStep>(
  host: RealHost,
  of: Partial<Attempt>,
  name: S,
  body: CommandOf<S>['body'],
): Promise<ResultOf<S>> {
  const reply = await ask(host.agent.agent, { step: name, host: host.config.host, ...of, body });
  if (reply.status !== 'done') throw new Error(`${name}: ${JSON.stringify(reply)}`);
  return reply.result as ResultOf<S>;
}
