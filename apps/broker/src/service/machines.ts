import { createHash } from 'node:crypto';
import { artifactId, type HostName, type KeyId, keyId, keysOf, type TrustDomain, type VmId } from '@carnet/events';
import {
  type HostReply,
  imageContext,
  type ResultOf,
  type SealedSecret,
  type StepResult,
  type VmState,
} from '@carnet/hypervisor';
import { type KeyManager, tenant } from '@carnet/keys';
import type { Store } from '@carnet/store';
import type { Signer } from '@carnet/trust';
import type { HostClient } from '../hosts/client.ts';
import type { CommandDraft } from '../hosts/wire.ts';
import type { HeldImage, HeldVm, Inventory } from '../inventory.ts';
import type { UseRight } from '../keys/grants.ts';
import { DEK_VERSION, granted, type HandoverKeys, KeyRefused } from '../keys/handover-keys.ts';
import { inTransaction, newDeks } from '../keys/new-dek.ts';
import type { RestrictionPorts } from './restrictions.ts';
import type { ServiceRefusal, ServiceResult } from './result.ts';
import type { ImageRow, VmRow } from './service.ts';

export interface MachinePorts extends Pick<RestrictionPorts, 'alone' | 'roleOf'> {
  readonly self: TrustDomain;
  readonly store: Store;
  readonly keys: KeyManager;
  readonly handover: HandoverKeys;
  readonly inventory: Inventory;
  readonly hosts: HostClient;
  readonly hostNames: readonly HostName[];
  readonly nowMs: () => number;
  readonly isMoving: (vm: VmId) => Promise<boolean>;
  /** Its guest was started here by the migration that is still open. */
  readonly hasStarted: (vm: VmId) => Promise<boolean>;
  /** This CSP's event key of now. */
  readonly signer: () => Signer;
}

/** Steps outside migrations: the longest (an image conversion) is asked again this often, for this long. */
const ASK_AGAIN_MS = 200;
const STEP_MS_MAX = 300_000;
/** How far a host's clock may be behind ours for that. */
const CLOCKS_APART_MS = 10_000;
/** Graceful shutdown of a guest before its power is cut. */
const STOP_GRACE_SECONDS = 15;

const refuse = (code: string, text: string): ServiceRefusal => ({ ok: false, code, text });

/** What an agent says that is busy or about to be another: it has done nothing, and may soon. */
const PASSING: ReadonlySet<string> = new Set(['HOST_BUSY', 'HOST_DRAINING']);

/** Asks until the step is done; an answer that never comes is `HOST_UNAVAILABLE`. `forbidden`: why it is not to be asked for again. */
export async function perform<S extends StepResult['step']>(
  ports: MachinePorts,
  draft: CommandDraft,
  step: S,
  withinMs = STEP_MS_MAX,
  forbidden: () => Promise<ServiceRefusal | undefined> = async () => undefined,
): Promise<ServiceResult<ResultOf<S>>> {
  // No longer good when its asker is told that it was not done: who decides about the VM then must not be surprised by it.
  const signed = ports.hosts.sign(draft, withinMs);
  const until = ports.nowMs() + withinMs + CLOCKS_APART_MS;
  for (;;) {
    const reply = await ports.hosts.ask(signed);
    if (reply.status === 'done' && reply.result.step === step) return { ok: true, value: reply.result as ResultOf<S> };
    if ((reply.status === 'refused' || reply.status === 'failed') && !(PASSING.has(reply.code) && ports.nowMs() <= until))
      return refusedBy(reply);
    if (reply.status === 'silent' && ports.nowMs() > until) return refuse('HOST_UNAVAILABLE', reply.text);
    if (ports.nowMs() > until) return refuse('HOST_UNAVAILABLE', `${step} took longer than ${withinMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
    const no = await forbidden();
    if (no !== undefined) return no;
  }
}

const refusedBy = (reply: Extract<HostReply, { readonly status: 'refused' | 'failed' }>): ServiceRefusal =>
  refuse(reply.code, reply.text);

export const anyHost = (ports: MachinePorts): HostName | undefined =>
  ports.hostNames.find((host) => ports.hosts.registry.isUp(host));

export const noHost = ({ hosts }: MachinePorts, host?: HostName): ServiceRefusal =>
  hosts.registry.isSettled()
    ? refuse('HOST_UNAVAILABLE', host === undefined ? 'no host of this CSP is up' : `host ${host} is not up`)
    : refuse('HOSTS_NOT_HEARD_YET', 'the broker has not heard its hosts yet; ask again in some seconds');

/** Registered images are the CSP's own, and belong to this project. */
const IMAGES = tenant.parse('default');

export const imageRow = ({ name, digest, sizeBytes, capacityBytes, createdAt }: HeldImage): ImageRow => ({
  name,
  digest,
  sizeBytes,
  capacityBytes,
  createdAt,
});

/** A VM that libvirt has no domain of was never started, or lost it: a start defines it anew, so to people it is off. */
export const shownState = (state: VmState | undefined): VmRow['state'] => (state === 'absent' ? 'shutoff' : (state ?? 'unknown'));

export function vmRow(ports: Pick<MachinePorts, 'hosts'>, held: HeldVm): VmRow {
  const seen = ports.hosts.registry.hello(held.host)?.vms.find((one) => one.vm === held.vm);
  return {
    vm: held.vm,
    name: held.spec.name,
    host: held.host,
    state: shownState(seen?.state),
    epoch: Math.max(held.epoch, seen?.fence?.epoch ?? 0),
    spec: held.spec,
  };
}

export async function registerImage(
  ports: MachinePorts,
  image: { readonly name: string; readonly file: string },
  principal: string,
): Promise<ServiceResult<ImageRow>> {
  const id = imageId(ports.self, image);
  const known = (await ports.inventory.images()).find(({ name }) => name === image.name);
  if (known?.key === id) return { ok: true, value: imageRow(known) };
  if (known !== undefined) return otherFile(image.name);
  const host = anyHost(ports);
  if (host === undefined) return noHost(ports);
  const key = keyId.parse(id);
  const artifact = artifactId.parse(id);
  await newDeks(ports, [{ key, tenant: IMAGES, artifact, capacityBytes: 0, kind: 'disk', reason: `image ${image.name}` }]);
  const vm = imageContext(ports.self, key);
  const by = { reason: 'IMAGE_REGISTER', principal } as const;
  const secret = await ports.handover.secretForHost({ host, vm, epoch: NO_EPOCH, purpose: 'run', by }, key);
  const made = await perform(ports, { step: 'registerImage', host, body: { ...image, secret } }, 'registerImage');
  if (!made.ok) return made;
  const { digest, sizeBytes, capacityBytes } = made.value.image;
  await listImage(ports, { name: image.name, host, key, digest, sizeBytes, capacityBytes });
  const held = (await ports.inventory.images()).find(({ name }) => name === image.name);
  return held?.key === key ? { ok: true, value: imageRow(held) } : otherFile(image.name);
}

const otherFile = (name: string): ServiceRefusal => refuse('IMAGE_EXISTS', `an image ${name} is registered from another file`);

/**
 * An image needs its key from the moment on that it is listed. Before that moment nothing could take the need away again: a file that does
 * not exist, or is no disk, would leave a key for ever that nobody may destroy. The key itself stays: the same request finds it.
 */
const listImage = (ports: MachinePorts, image: Omit<HeldImage, 'createdAt'> & { readonly key: KeyId }): Promise<void> =>
  inTransaction(ports.store, async (tx) => {
    if (!(await ports.inventory.putImage(tx, image))) return;
    granted(await ports.keys.need(tx, { key: image.key, version: DEK_VERSION }, `image:${image.name}`));
  });

/**
 * A UUID (version 8, RFC 9562, section 5.8) that this request has whenever it is made: asked again after a crash, the same key is
 * found, and the host knows by it the image that it may have made already.
 */
function imageId(self: TrustDomain, { name, file }: { readonly name: string; readonly file: string }): string {
  const hex = createHash('sha256')
    .update(JSON.stringify(['image', self, name, file]))
    .digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join('-');
}

export async function verifyImage(
  ports: MachinePorts,
  name: string,
): Promise<ServiceResult<{ readonly name: string; readonly digest: string; readonly verified: boolean }>> {
  const held = (await ports.inventory.images()).find((image) => image.name === name);
  if (held === undefined) return refuse('IMAGE_UNKNOWN', `no image ${name} is registered`);
  const seen = await perform(ports, { step: 'verifyImage', host: held.host, body: { name } }, 'verifyImage');
  if (!seen.ok)
    return seen.code === 'IMAGE_TAMPERED' ? { ok: true, value: { name, digest: held.digest, verified: false } } : seen;
  return { ok: true, value: { name, digest: held.digest, verified: seen.value.image.digest === held.digest } };
}

export async function setPower(
  ports: MachinePorts,
  vm: VmId,
  power: 'on' | 'off',
  principal: string,
): Promise<ServiceResult<VmRow>> {
  const held = await ports.inventory.vm(vm);
  if (held === undefined) return refuse('VM_UNKNOWN', `${vm} is not held by ${ports.self}`);
  // Threat: a host that was away for minutes starts what its source has taken back meanwhile.
  const forbidden = async (): Promise<ServiceRefusal | undefined> => {
    const isOurs = power === 'on' && (await ports.hasStarted(vm));
    const isMoving = !isOurs && (await ports.isMoving(vm));
    return isMoving ? refuse('VM_MOVING', `${vm} is in a migration that has not ended`) : undefined;
  };
  const no = await forbidden();
  if (no !== undefined) return no;
  const { host, spec } = held;
  const row = vmRow(ports, held);
  const turnOn = async () => {
    const secrets = await runSecrets(ports, held, { reason: 'VM_START', principal });
    return perform(ports, { step: 'startVm', host, vm, body: { secrets, epoch: row.epoch } }, 'startVm', STEP_MS_MAX, forbidden);
  };
  const done =
    power === 'on'
      ? await turnOn()
      : await perform(ports, { step: 'stopVm', host, vm, body: { graceSeconds: STOP_GRACE_SECONDS } }, 'stopVm');
  if (!done.ok) return done;
  return { ok: true, value: { ...row, state: power === 'on' ? 'running' : 'shutoff', spec } };
}

/** Steps outside migrations carry no epoch, wherever the VM came from; the host opens their secrets under this one. */
export const NO_EPOCH = 0;

/** Secrets of every disk and of the vTPM, for a host that starts the VM or lost them with its libvirtd. */
export const runSecrets = (
  ports: Pick<MachinePorts, 'handover'>,
  { vm, spec, host }: Pick<HeldVm, 'vm' | 'spec' | 'host'>,
  by: UseRight,
): Promise<readonly SealedSecret[]> =>
  Promise.all(keysOf(spec).map((key) => ports.handover.secretForHost({ host, vm, epoch: NO_EPOCH, purpose: 'run', by }, key)));

/** Refusals of the key manager as the API says them; everything else is an accident and passes through. */
export async function guarded<T>(work: () => Promise<ServiceResult<T>>): Promise<ServiceResult<T>> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof KeyRefused) return refuse(cause.code, cause.message);
    throw cause;
  }
}
