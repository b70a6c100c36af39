import type { Digest } from '@carnet/events';
import { refused, type Setback } from '../codes.ts';
import type { CommandOf } from '../command/command.ts';
import { moveFence } from '../fence/moves.ts';
import { done, type Outcome, setBack } from '../outcome.ts';
import type { Seen } from '../step-log.ts';
import { isOff, stateOf } from './domains.ts';
import { encryptAgain, freeSlot, provenHeader, swapSlot } from './rekey-volume.ts';
import { beforeOf, openVolumes, progressFrom, type Rekeyed, seenAtFirst, testifyNewKeys } from './rekeying.ts';
import { finished, type Step, type StepContext } from './step.ts';

type Rekey = CommandOf<'rekey'>;

/**
 * Takes the volumes that arrived away from whoever knew their keys. In staging, before anything may start: until then the target
 * can still give the VM back, and the source's own volumes are as they were.
 */
export const rekey: Step<'rekey'> = async (command, context) => {
  const { vm, epoch, body } = command;
  const { ports, fence } = context;
  const entry = await fence.read(vm);
  if (!entry.ok) return entry.setback;
  const arrival = moveFence(entry.value, { kind: 'admit', epoch }, { vm, because: null, time: ports.clock.now() });
  if (!arrival.ok) return arrival.setback;
  if (!isOff(await stateOf(context, vm))) return refused('VM_RUNNING');
  const opened = await openVolumes(command, context);
  if (!opened.ok) return opened.setback;
  const seen = await seenAtFirst(command, context, () => look(command, context));
  if (!seen.ok) return seen.setback;
  const volumes = opened.value.map(({ artifact, capacityBytes, from, to }, i) => ({
    volume: { vm, epoch, artifact, capacityBytes, from, to },
    before: beforeOf(seen.value, i),
    slot: Number(seen.value[`slot${i}`]),
  }));
  const rekeyed: Rekeyed[] = [];
  for (const [i, { volume, before, slot }] of volumes.entries()) {
    const setback =
      body.method === 'full'
        ? await encryptAgain(context, volume, progressFrom(command, context, i))
        : await swapSlot(context, volume, slot);
    if (setback !== undefined) return setback;
    const after = await provenHeader(context, volume);
    if (!after.ok) return after.setback;
    rekeyed.push({ artifact: volume.artifact, before, after: after.value });
  }
  const evidence = testifyNewKeys(command, context, 'rekeyed', body.method, rekeyed);
  return finished({ step: 'rekey', method: body.method, volumes: rekeyed }, evidence);
};

type Before = { readonly before: Digest; readonly slot: number };

/** Headers and free slots. */
async function look(command: Rekey, context: StepContext): Promise<Outcome<Seen>> {
  const entries: [string, string | number][] = [];
  for (const [i, volume] of command.body.volumes.entries()) {
    const looked = await lookAt(command, context, volume);
    if (!looked.ok) return looked;
    entries.push([`before${i}`, looked.value.before], [`slot${i}`, looked.value.slot]);
  }
  return done(Object.fromEntries(entries));
}

async function lookAt(
  { vm, epoch }: Rekey,
  { ports }: StepContext,
  { artifact, capacityBytes, headerDigest }: Rekey['body']['volumes'][number],
): Promise<Outcome<Before>> {
  const refuse = (setback: Setback): Outcome<Before> => setBack(setback);
  const path = ports.paths.staged(vm, epoch, artifact);
  if ((await ports.files.size(path)) === undefined) return refuse(refused('ARTIFACT_MISSING', `(${artifact})`));
  const header = await ports.artifacts.guard(path);
  if (!header.ok) return header;
  if (header.value.capacityBytes !== capacityBytes)
    return refuse(refused('SPEC_MISMATCH', `Disk ${artifact} has ${header.value.capacityBytes} bytes.`));
  if (headerDigest !== undefined && headerDigest !== header.value.headerDigest)
    return refuse(refused('HEADER_CHANGED', `(${artifact})`));
  const place = await ports.artifacts.luksPlace(path);
  if (!place.ok) return place;
  const slot = freeSlot(place.value.activeSlots);
  return slot === undefined
    ? refuse(refused('IMAGE_REFUSED', `All key slots of ${artifact} are in use.`))
    : done({ before: header.value.headerDigest, slot });
}
