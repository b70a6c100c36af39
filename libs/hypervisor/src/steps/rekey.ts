import { type ArtifactId, type Digest, digest } from '@carnet/events';
import { refused, type Setback } from '../codes.ts';
import type { CommandOf } from '../command/command.ts';
import type { StepProgress } from '../command/report.ts';
import type { ResultOf } from '../command/result.ts';
import { moveFence } from '../fence/moves.ts';
import { done, type Outcome, setBack } from '../outcome.ts';
import type { Seen } from '../step-log.ts';
import { isOff, stateOf } from './domains.ts';
import { type Arrived, encryptAgain, freeSlot, provenHeader, swapSlot } from './rekey-volume.ts';
import { finished, openPassphrases, type Step, type StepContext, testify } from './step.ts';
import { keyOf } from './step-key.ts';

type Rekey = CommandOf<'rekey'>;
type Rekeyed = ResultOf<'rekey'>['volumes'][number];

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
  const volumes = await openVolumes(command, context);
  if (!volumes.ok) return volumes.setback;
  const seen = await firstSeen(command, context);
  if (!seen.ok) return seen.setback;
  const rekeyed: Rekeyed[] = [];
  for (const [i, volume] of volumes.value.entries()) {
    const { before, slot } = seen.value[i] ?? impossible(volume.artifact);
    const setback =
      body.method === 'full'
        ? await encryptAgain(context, volume, progressFrom(command, context, i))
        : await swapSlot(context, volume, slot);
    if (setback !== undefined) return setback;
    const after = await provenHeader(context, volume);
    if (!after.ok) return after.setback;
    rekeyed.push({ artifact: volume.artifact, before, after: after.value });
  }
  return finished({ step: 'rekey', method: body.method, volumes: rekeyed }, testifyTo(command, context, rekeyed));
};

const impossible = (artifact: ArtifactId): never => {
  throw new Error(`nothing was seen of ${artifact}`);
};

async function openVolumes(command: Rekey, context: StepContext): Promise<Outcome<readonly Arrived[]>> {
  const { vm, epoch, body } = command;
  const secrets = body.volumes.flatMap(({ from, to }) => [from, to]);
  const opened = await openPassphrases(
    context,
    command,
    secrets.map(({ key }) => key),
    secrets,
    'rekey',
  );
  if (!opened.ok) return opened;
  const of = (key: (typeof secrets)[number]['key']): Uint8Array => opened.value.get(key) ?? new Uint8Array();
  return done(body.volumes.map(({ artifact, from, to }) => ({ vm, epoch, artifact, from: of(from.key), to: of(to.key) })));
}

type Before = { readonly before: Digest; readonly slot: number };

/** Headers and free slots before the first effect, from the log when there was one: afterwards the volumes no longer show them. */
async function firstSeen(command: Rekey, context: StepContext): Promise<Outcome<readonly Before[]>> {
  const logged = context.log.intent(keyOf(command))?.seen;
  if (logged !== undefined) return done(beforesOf(command, logged));
  const entries: [string, string | number][] = [];
  for (const [i, volume] of command.body.volumes.entries()) {
    const looked = await look(command, context, volume);
    if (!looked.ok) return looked;
    entries.push([`before${i}`, looked.value.before], [`slot${i}`, looked.value.slot]);
  }
  return done(beforesOf(command, await context.intend(Object.fromEntries(entries))));
}

const beforesOf = ({ body }: Rekey, seen: Seen): readonly Before[] =>
  body.volumes.map((_, i) => ({ before: digest.parse(seen[`before${i}`]), slot: Number(seen[`slot${i}`]) }));

async function look(
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

/** Bytes of this disk after those of the disks before it. */
function progressFrom({ body }: Rekey, context: StepContext, index: number): (progress: StepProgress) => void {
  const sizes = body.volumes.map(({ capacityBytes }) => capacityBytes);
  const sum = (some: readonly number[]): number => some.reduce((total, size) => total + size, 0);
  const [before, totalBytes] = [sum(sizes.slice(0, index)), sum(sizes)];
  return ({ doneBytes, bytesPerSecond }) => context.progress({ doneBytes: before + doneBytes, totalBytes, bytesPerSecond });
}

function testifyTo(command: Rekey, context: StepContext, volumes: readonly Rekeyed[]) {
  const each = volumes.flatMap(({ artifact, before, after }, i) => [
    [`artifact${i}`, artifact],
    [`before${i}`, before],
    [`after${i}`, after],
  ]);
  const facts = { method: command.body.method, volumes: volumes.length, oldKeysRefused: true };
  return testify(context, command, 'rekeyed', { ...facts, ...Object.fromEntries(each) });
}
