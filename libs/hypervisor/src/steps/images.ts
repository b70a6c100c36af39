import { join } from 'node:path';
import { refused } from '../codes.ts';
import type { StoredImage } from '../ports/artifacts.ts';
import { finished, luksPassphrase, openImageSecret, type Step, type StepContext, type StepEnd } from './step.ts';

export const listImages: Step<'listImages'> = async (_command, { ports }) =>
  finished({ step: 'listImages', images: await ports.artifacts.listImages() });

/**
 * Makes an encrypted image of a plain file. A repeat, also after a crash or under another command id, finds the image and knows
 * it by its key, which serves no other: nothing is encrypted twice.
 */
export const registerImage: Step<'registerImage'> = async ({ body }, context) => {
  const { ports, signal } = context;
  const dek = await openImageSecret(context, body.secret);
  if (!dek.ok) return dek.setback;
  const passphrase = luksPassphrase(context, dek.value);
  const known = await ports.artifacts.findImage(body.name);
  if (known.ok) return knownByKey(known.value, passphrase, context);
  if (known.setback.code !== 'IMAGE_UNKNOWN') return known.setback;
  const roomBytes = await ports.artifacts.imageRoom();
  const from = join(ports.paths.importDir, body.file);
  const encrypt = (to: string) =>
    ports.volumes.encryptRaw({ from, to, passphrase, roomBytes, onProgress: context.progress, signal });
  const image = await ports.artifacts.registerImage(body.name, encrypt, signal);
  return image.ok ? finished({ step: 'registerImage', image: image.value }) : image.setback;
};

async function knownByKey(
  { path, facts }: StoredImage,
  passphrase: Uint8Array,
  { ports }: StepContext,
): Promise<StepEnd<'registerImage'>> {
  const unlocked = await ports.volumes.unlock(path, passphrase);
  if (unlocked.ok) return finished({ step: 'registerImage', image: facts });
  return unlocked.setback.code === 'LUKS_DOES_NOT_OPEN' ? refused('IMAGE_NAME_TAKEN') : unlocked.setback;
}

export const verifyImage: Step<'verifyImage'> = async ({ body }, { ports, signal }) => {
  const image = await ports.artifacts.verifyImage(body.name, signal);
  return image.ok ? finished({ step: 'verifyImage', image: image.value }) : image.setback;
};
