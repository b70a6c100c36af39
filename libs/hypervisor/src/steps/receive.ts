import type { SealedArtifact } from '@carnet/events';
import { refused, type Setback } from '../codes.ts';
import type { CommandOf } from '../command/command.ts';
import { moveFence } from '../fence/moves.ts';
import { isReserved } from '../leases.ts';
import { VTPM_BYTES_MAX } from '../limits.ts';
import { finished, type Step, type StepContext } from './step.ts';

type Receive = CommandOf<'receive'>;

/** Pulls every artifact of a round into staging and checks it against its signed root; room must be reserved. Called again, it fetches what is missing. */
export const receive: Step<'receive'> = async (command, context) => {
  const { vm, epoch, body } = command;
  const { ports, fence } = context;
  const now = ports.clock.now();
  const entry = await fence.read(vm);
  if (!entry.ok) return entry.setback;
  const arrival = moveFence(entry.value, { kind: 'admit', epoch }, { vm, because: null, time: now });
  if (!arrival.ok) return arrival.setback;
  // What was not promised room might fill the disk of every VM here.
  if (!(await isReserved(ports, command, now))) return refused('RESERVATION_MISSING');
  const unsupported = body.artifacts.find(({ kind }) => kind === 'nvram');
  if (unsupported !== undefined) return refused('ARTIFACT_UNSUPPORTED', `(${unsupported.kind})`);
  if (body.artifacts.some(({ kind, sizeBytes }) => kind === 'vtpm' && sizeBytes > VTPM_BYTES_MAX))
    return refused('VTPM_STATE_REFUSED');
  const totalBytes = body.artifacts.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  await context.intend({});
  await ports.files.ensureDir(ports.paths.staging(vm, epoch));
  let receivedBytes = 0;
  let finishedBytes = 0;
  for (const sealed of body.artifacts) {
    const before = finishedBytes;
    const pulled = await pullOne(command, context, sealed, (doneBytes, bytesPerSecond) =>
      context.progress({ doneBytes: before + doneBytes, totalBytes, bytesPerSecond }),
    );
    if ('status' in pulled) return pulled;
    receivedBytes += pulled.receivedBytes;
    finishedBytes += sealed.sizeBytes;
  }
  const roots = body.artifacts.map(({ artifact, root }) => ({ artifact, root }));
  return finished({ step: 'receive', round: body.round, roots, receivedBytes, totalBytes });
};

async function pullOne(
  { vm, migration, epoch, body }: Receive,
  { ports, signal }: StepContext,
  sealed: SealedArtifact,
  onBytes: (doneBytes: number, bytesPerSecond: number) => void,
): Promise<{ readonly receivedBytes: number } | Setback> {
  const into = ports.paths.staged(vm, epoch, sealed.artifact);
  const pulled = await ports.artifacts.pull({
    of: { vm, migration, epoch, round: body.round },
    sealed,
    from: body.dataPath,
    peer: body.peer,
    into,
    rateBytesPerSecond: body.rateBytesPerSecond,
    onProgress: ({ doneBytes, bytesPerSecond }) => onBytes(doneBytes, bytesPerSecond),
    signal,
  });
  if (!pulled.ok) return pulled.setback;
  if (sealed.kind !== 'disk') return pulled.value;
  // Signed by the peer and still hostile: its header is judged before any qemu tool or libvirt sees the file.
  const header = await ports.artifacts.guard(into);
  return header.ok ? pulled.value : header.setback;
}
