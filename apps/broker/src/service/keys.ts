import { type EventType, type KeyId, keyId, keysOf, type TrustDomain, type VmId } from '@carnet/events';
import type { Journal } from '@carnet/journal';
import { atomically, type KeyManager, type KeyUse, type KeyView, type Result, tenant, vmConsumer } from '@carnet/keys';
import type { Store } from '@carnet/store';
import type { Signer } from '@carnet/trust';
import { present } from '../http/present.ts';
import type { Inventory } from '../inventory.ts';
import { DEK_VERSION } from '../keys/handover-keys.ts';
import { keyDetail, keyRows } from './key-row.ts';
import type { KeyDetail, KeyUseRow } from './key-rows.ts';
import type { ServiceRefusal, ServiceResult } from './result.ts';
import type { BrokerService } from './service.ts';

export interface KeyServicePorts {
  readonly self: TrustDomain;
  readonly keys: KeyManager;
  readonly store: Store;
  readonly journal: Pick<Journal, 'eventsOfMigrations'>;
  readonly inventory: Inventory;
  readonly isMoving: (vm: VmId) => Promise<boolean>;
  /** This CSP's event key of now: it signs what operators change. */
  readonly signer: () => Signer;
  /** Something is owed to peers. */
  readonly tell: () => void;
}

type KeyService = Pick<
  BrokerService,
  'keys' | 'key' | 'changeKey' | 'addKeyConsumer' | 'removeKeyConsumer' | 'rotateProject' | 'keyUses' | 'verifyKeyUses'
>;

const refuse = (code: string, text: string): ServiceRefusal => ({ ok: false, code, text });
const UNKNOWN = refuse('KEY_UNKNOWN', 'no such key');

/** A refusal of the key manager for people: its sentence, and what stands in the way. */
function said<T>(result: Result<T>): ServiceResult<T> {
  if (result.ok) return result;
  const { code, text, got } = result;
  return refuse(code, got === undefined ? text : `${text} ${got}`);
}

export function createKeyService(ports: KeyServicePorts): KeyService {
  const { keys, store } = ports;
  return {
    keys: (filter) => keyRows(keys, filter),
    key: (id) => withKey(id, (key) => shown(ports, key)),
    changeKey: (id, verb, change, principal) =>
      withKey(id, async (key) => {
        const moving = await whyMoving(ports, key);
        if (moving !== undefined) return moving;
        const signer = ports.signer();
        const wanted = { key, version: DEK_VERSION, verb, principal, signer, ...change };
        const changed = said(await atomically(store.db, (tx) => keys.operate(tx, wanted)));
        if (!changed.ok) return changed;
        ports.tell();
        return shown(ports, key);
      }),
    addKeyConsumer: (id, vm) =>
      withKey(id, async (key) => {
        if ((await ports.inventory.vm(vm)) === undefined) return refuse('VM_UNKNOWN', `${vm} is not held by ${ports.self}`);
        const needed = { key, version: DEK_VERSION };
        const added = said(await atomically(store.db, (tx) => keys.need(tx, needed, vmConsumer(vm))));
        if (!added.ok) return added;
        return shown(ports, key);
      }),
    removeKeyConsumer: (id, vm) =>
      withKey(id, async (key) => {
        const held = await ports.inventory.vm(vm);
        if (held !== undefined && keysOf(held.spec).includes(key))
          return refuse('KEY_IN_USE', `${vm} is held here and one of its disks, or its vTPM, opens with this key`);
        await store.db.transaction().execute((tx) => keys.removeConsumer(tx, key, vmConsumer(vm)));
        return shown(ports, key);
      }),
    rotateProject: async (project, { reason, version }, principal) => {
      const known = tenant.safeParse(project);
      if (!known.success) return refuse('PROJECT_UNKNOWN', 'no such project');
      const begun = version === undefined ? {} : { version };
      const moved = said(await keys.rotateSome({ tenant: known.data, actor: principal, reason, ...begun }));
      if (!moved.ok) return moved;
      const { tenant: of, ...progress } = moved.value;
      return { ok: true, value: { project: of, ...progress } };
    },
    keyUses: (id) => withKey(id, async (key) => ({ ok: true, value: (await keys.usesOf(key)).map(useRow) })),
    verifyKeyUses: async () => {
      const { head, intact, brokenAt } = await keys.verifyUses();
      return { intact, uses: head.n, head: head.digest, ...(brokenAt === undefined ? {} : { brokenAt }) };
    },
  };
}

async function withKey<T>(id: string, work: (key: KeyId) => Promise<ServiceResult<T>>): Promise<ServiceResult<T>> {
  const known = keyId.safeParse(id);
  return known.success ? work(known.data) : UNKNOWN;
}

/** From the intent on: a state that changes before the deposit would end the migration with a code that nobody expects. */
async function whyMoving({ keys, isMoving }: KeyServicePorts, key: KeyId): Promise<ServiceRefusal | undefined> {
  const view = await keys.show({ key, version: DEK_VERSION });
  if (!view.ok) return UNKNOWN;
  const { vm } = view.value;
  return vm !== undefined && (await isMoving(vm))
    ? refuse('KEY_MOVING', `a migration of ${vm} has not ended: cancel it or wait for its end`)
    : undefined;
}

async function shown(ports: KeyServicePorts, key: KeyId): Promise<ServiceResult<KeyDetail>> {
  const view = await ports.keys.show({ key, version: DEK_VERSION });
  if (!view.ok) return UNKNOWN;
  const row = keyDetail(view.value);
  const image = (await ports.inventory.images()).find((one) => one.key === key);
  const root = image === undefined ? {} : { imageRoot: image.digest };
  const receipts = await receiptsOf(ports, view.value);
  return { ok: true, value: { ...row, ...root, provenance: [...row.provenance, ...receipts] } };
}

/** Events that prove a hand-over, by what each is in it. */
const PROOFS: Partial<Readonly<Record<EventType, string>>> = {
  KeyDeposited: 'deposit',
  DepositAcknowledged: 'acknowledgement',
  KeyReleased: 'release',
  KeyImported: 'receipt',
  MigrationRelinquished: 'relinquishment',
  SourceRetired: 'retirement',
};

/** Digests of the signed events of every hand-over of the key, with either peer. */
async function receiptsOf({ journal }: KeyServicePorts, { shared, provenance }: KeyView): Promise<readonly string[]> {
  const lines: string[] = [];
  for (const { peer, migration, direction } of shared) {
    const events = await journal.eventsOfMigrations([migration]);
    const told = events.filter(
      ({ placement, voidCode }) => voidCode === undefined && (placement.publisher === peer || placement.audience === peer),
    );
    const isShownAlready = (name: string): boolean =>
      provenance?.migration === migration && (name === 'deposit' || name === 'release');
    if (provenance?.migration !== migration)
      lines.push(`migration ${migration}`, direction === 'out' ? `target ${peer}` : `source ${peer}`);
    for (const { event, digest } of told) {
      const name = event === undefined ? undefined : PROOFS[event.type];
      if (name !== undefined && !isShownAlready(name)) lines.push(`${name} ${digest}`);
    }
  }
  return lines;
}

function useRow({ context, n, at, key, operation, principal, reason, digest }: KeyUse): KeyUseRow {
  return { n, at, key, operation, principal, reason, vm: context.vm, ...present(whereOf(context)), digest };
}

const whereOf = ({ host, peer, migration, epoch }: KeyUse['context']) => ({ host, peer, migration, epoch });
