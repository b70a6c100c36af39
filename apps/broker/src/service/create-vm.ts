import { randomBytes, randomUUID } from 'node:crypto';
import {
  artifactId,
  type HostName,
  type KeyId,
  keyId,
  UNRESTRICTED,
  uuidv7,
  type VmDisk,
  type VmId,
  type VmSpec,
  type VmTpm,
  vmId,
  vmSpec,
} from '@carnet/events';
import type { SealedSecret } from '@carnet/hypervisor';
import type { HeldImage, HeldVm } from '../inventory.ts';
import { type NewKey, newDeks } from '../keys/new-dek.ts';
import { tenantOf } from '../keys/projects.ts';
import { machineOf } from '../perform/context.ts';
import { forgetVm, removeVm } from './delete-vm.ts';
import { anyHost, type MachinePorts, NO_EPOCH, noHost, perform, runSecrets, setPower, vmRow } from './machines.ts';
import type { ServiceRefusal, ServiceResult } from './result.ts';
import type { CreateVmRequest, VmRow } from './service.ts';

const refuse = (code: string, text: string): ServiceRefusal => ({ ok: false, code, text });

/**
 * A VM and its keys are in the books before its host hears of it. Threat: a broker that gives up first, or dies, and a VM runs or lies there that
 * nobody lists, moves or deletes. Alone with it, so that nobody moves what is half made.
 */
export async function createVm(ports: MachinePorts, request: CreateVmRequest, principal: string): Promise<ServiceResult<VmRow>> {
  if ((await ports.inventory.vms()).some(({ spec }) => spec.name === request.name))
    return refuse('VM_EXISTS', `a VM ${request.name} exists`);
  const image =
    request.image === undefined ? undefined : (await ports.inventory.images()).find(({ name }) => name === request.image);
  if (request.image !== undefined && image === undefined)
    return refuse('IMAGE_UNKNOWN', `no image ${request.image} is registered`);
  const host = image?.host ?? anyHost(ports);
  if (host === undefined || !ports.hosts.registry.isUp(host)) return noHost(ports, host);
  const held = planned(ports, request, host, image);
  const made = await ports.alone(held.vm, (signal) => make(ports, { held, image, principal, signal }));
  if (!made.held) return refuse('VM_MOVING', `somebody else decides about ${held.vm}`);
  if (!made.value.ok) return made.value;
  return request.start
    ? setPower(ports, held.vm, 'on', principal)
    : { ok: true, value: { ...vmRow(ports, held), state: 'shutoff' } };
}

const newKey = (nowMs: number): KeyId => keyId.parse(uuidv7(nowMs, randomBytes(10)));

function planned({ self, nowMs }: MachinePorts, request: CreateVmRequest, host: HostName, image: HeldImage | undefined): HeldVm {
  const capacityBytes = Math.max(request.capacityBytes ?? 0, image?.capacityBytes ?? 0);
  const disk = { artifact: artifactId.parse(randomUUID()), key: newKey(nowMs()), capacityBytes };
  const tpm = request.vtpm ? { artifact: artifactId.parse(randomUUID()), key: newKey(nowMs()) } : undefined;
  return { vm: vmId.parse(`${self}/${randomUUID()}`), spec: specOf(request, disk, tpm), host, epoch: NO_EPOCH };
}

/** `signal`: the right to decide about the VM is lost. */
type Making = {
  readonly held: HeldVm;
  readonly image: HeldImage | undefined;
  readonly principal: string;
  readonly signal: AbortSignal;
};

async function make(ports: MachinePorts, making: Making): Promise<ServiceResult<unknown>> {
  const { held, image, principal } = making;
  const { vm, host, spec } = held;
  // Before there is anything of the VM: the image's key may be suspended.
  const from =
    image === undefined ? {} : { from: { image: image.name, secret: await imageSecret(ports, image, { host, vm, principal }) } };
  await newDeks(ports, newKeysOf(ports, held), async (tx) => void (await ports.inventory.add(tx, held)));
  const secrets = await sealedFor(ports, held, principal);
  const body = { spec: machineOf(spec), ...from, secrets };
  const made = await perform(ports, { step: 'createVm', host, vm, body }, 'createVm');
  return made.ok ? made : unmade(ports, making, made);
}

/** No host has heard of the VM: what cannot be sealed for one leaves the books again. */
async function sealedFor(ports: MachinePorts, held: HeldVm, principal: string): Promise<readonly SealedSecret[]> {
  try {
    return await runSecrets(ports, held, { reason: 'VM_CREATE', principal });
  } catch (cause) {
    await forgetVm(ports, held, { principal, reason: `VM ${held.vm} was not made: its keys were not given out` });
    throw cause;
  }
}

/** Whoever asked for the VM still waits while it is cleared up. */
const CLEAR_UP_MS = 10_000;

/** A host that refused may have begun: what there is of the VM goes, then its keys and its row. What a silent host did nobody knows: that stays listed. */
async function unmade(ports: MachinePorts, { held, principal, signal }: Making, why: ServiceRefusal): Promise<ServiceRefusal> {
  const stays = refuse(why.code, `${why.text}; ${held.vm} stays listed: delete it once host ${held.host} answers`);
  // Without the right to decide about it, somebody may have placed it on hold since.
  if (why.code === 'HOST_UNAVAILABLE' || signal.aborted) return stays;
  const by = { principal, reason: `VM ${held.vm} was not made: ${why.code}` };
  const removed = await removeVm(ports, held, by, { withinMs: CLEAR_UP_MS });
  return removed.ok ? why : stays;
}

function newKeysOf({ self }: MachinePorts, { vm, spec }: HeldVm): readonly NewKey[] {
  const owner = { tenant: tenantOf(self, vm, spec), vm };
  const disks = spec.disks.map(
    ({ key, artifact, capacityBytes }): NewKey => ({
      ...owner,
      key,
      artifact,
      capacityBytes,
      kind: 'disk',
      reason: `disk of VM ${spec.name}`,
    }),
  );
  if (spec.tpm === undefined) return disks;
  return [...disks, { ...owner, ...spec.tpm, capacityBytes: 0, kind: 'vtpm', reason: `vTPM of VM ${spec.name}` }];
}

function imageSecret(
  ports: MachinePorts,
  image: HeldImage,
  { host, vm, principal }: { readonly host: HostName; readonly vm: VmId; readonly principal: string },
): Promise<SealedSecret> {
  const by = { reason: 'IMAGE_COPY', principal } as const;
  return ports.handover.secretForHost({ host, vm, epoch: NO_EPOCH, purpose: 'run', by }, keyId.parse(image.key));
}

/** Host independent, so that it means the same at every CSP. */
const specOf = (
  request: CreateVmRequest,
  { artifact, key, capacityBytes }: Pick<VmDisk, 'artifact' | 'key' | 'capacityBytes'>,
  tpm: VmTpm | undefined,
): VmSpec =>
  vmSpec.parse({
    name: request.name,
    vcpus: request.vcpus,
    memoryMiB: request.memoryMiB,
    machine: 'pc-q35-7.2',
    cpuModel: 'qemu64',
    boot: request.boot,
    disks: [{ artifact, target: 'vda', format: 'qcow2', capacityBytes, key }],
    ...(tpm === undefined ? {} : { tpm }),
    ...(request.project === undefined ? {} : { restrictions: { ...UNRESTRICTED, project: request.project } }),
  });
