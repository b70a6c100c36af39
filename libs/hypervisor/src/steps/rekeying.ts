import { type ArtifactId, type Digest, digest, type KeyId, keyId } from '@carnet/events';
import type { CommandOf } from '../command/command.ts';
import type { StepProgress } from '../command/report.ts';
import type { ResultOf } from '../command/result.ts';
import { done, type Outcome } from '../outcome.ts';
import type { Seen } from '../step-log.ts';
import { openPassphrases, type StepContext, testify } from './step.ts';
import { keyOf, stepKey } from './step-key.ts';

/** Both ways to take volumes away from whoever knew their keys: at rest before they first start, and under a running guest. */
export type Rekeying = CommandOf<'rekey' | 'reencrypt'>;
export type Rekeyed = ResultOf<'rekey' | 'reencrypt'>['volumes'][number];

/** One volume's passphrases: what opens it as it came, and what alone shall open it. */
export type OpenedVolume = {
  readonly artifact: ArtifactId;
  readonly capacityBytes: number;
  readonly newKey: KeyId;
  readonly from: Uint8Array;
  readonly to: Uint8Array;
};

/** In the order of the command. */
export async function openVolumes(command: Rekeying, context: StepContext): Promise<Outcome<readonly OpenedVolume[]>> {
  const { volumes } = command.body;
  const secrets = volumes.flatMap(({ from, to }) => [from, to]);
  const keys = secrets.map(({ key }) => key);
  const opened = await openPassphrases(context, command, keys, secrets, 'rekey');
  if (!opened.ok) return opened;
  const of = (key: KeyId): Uint8Array => opened.value.get(key) ?? new Uint8Array();
  return done(
    volumes.map(({ artifact, capacityBytes, from, to }) => {
      const passphrases = { from: of(from.key), to: of(to.key) };
      return { artifact, capacityBytes, newKey: to.key, ...passphrases };
    }),
  );
}

/** What was seen before the first effect, from the log when there was one: afterwards the volumes no longer show it. */
export async function seenAtFirst(
  command: Rekeying,
  context: StepContext,
  look: () => Promise<Outcome<Seen>>,
): Promise<Outcome<Seen>> {
  const logged = context.log.intent(keyOf(command))?.seen;
  if (logged !== undefined) return done(logged);
  const looked = await look();
  return looked.ok ? done(await context.intend(looked.value)) : looked;
}

/** The header of a command's volume as `look` told it under this name. */
export const beforeOf = (seen: Seen, index: number): Digest => digest.parse(seen[`before${index}`]);

/** Bytes of this disk after those of the disks before it. */
export function progressFrom({ body }: Rekeying, context: StepContext, index: number): (progress: StepProgress) => void {
  const sizes = body.volumes.map(({ capacityBytes }) => capacityBytes);
  const sum = (some: readonly number[]): number => some.reduce((total, size) => total + size, 0);
  const [before, totalBytes] = [sum(sizes.slice(0, index)), sum(sizes)];
  return ({ doneBytes, bytesPerSecond }) => context.progress({ doneBytes: before + doneBytes, totalBytes, bytesPerSecond });
}

/** Evidence that these volumes have left their old keys: each header before and after. */
export function testifyNewKeys(
  command: Rekeying,
  context: StepContext,
  kind: 'rekeyed' | 'reencrypted',
  method: string,
  volumes: readonly Rekeyed[],
) {
  const each = volumes.flatMap(({ artifact, before, after }, i) => [
    [`artifact${i}`, artifact],
    [`before${i}`, before],
    [`after${i}`, after],
  ]);
  const facts = { method, volumes: volumes.length, oldKeysRefused: true };
  return testify(context, command, kind, { ...facts, ...Object.fromEntries(each) });
}

const NEW_KEY = 'newKey';
/** Under which name the intent of a `reencrypt` tells the new key of a command's volume. */
export const newKeyName = (index: number): string => `${NEW_KEY}${index}`;

/** New keys that libvirt was given for a running VM, and that its record does not name before the end. */
export function keysOnTheirWay({ log }: StepContext, epoch: number): readonly KeyId[] {
  const seen = log.intent(stepKey({ step: 'reencrypt', epoch }))?.seen ?? {};
  return Object.entries(seen).flatMap(([name, key]) => (name.startsWith(NEW_KEY) ? [keyId.parse(key)] : []));
}
