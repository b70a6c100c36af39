import { createHash, randomBytes, randomUUID } from 'node:crypto';
import {
  artifactId,
  type Digest,
  digest,
  type EventData,
  epoch,
  type HpkeKem,
  keyId,
  migrationId,
  trustDomain,
  uuidv7,
  type VerifiedRoots,
  vmId,
} from '@carnet/events';
import type { BoundKey, Handover } from '../context.ts';
import { onKeys } from '../records/tables.ts';
import type { Grant } from '../uses/grant.ts';
import { HYBRID } from '../vault/hpke.ts';
import { ACTOR, must, NOT_AFTER, NOW, record, type Side, TENANT } from './side.ts';

export * from './forms.ts';
export * from './side.ts';

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

/** What the signed events would say to whoever retires it. */
export const retiring = ({ handover: { migration, epoch: attempt, vm }, keys }: Pick<Story, 'handover' | 'keys'>) => ({
  migration,
  epoch: attempt,
  vm,
  keys,
});

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
  const ack = must(await record(b, await b.keys.acknowledge({ handover: story.handover, deposit, artifacts: story.disks })));
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
