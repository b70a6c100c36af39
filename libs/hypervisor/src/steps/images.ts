import { join } from 'node:path';
import { finished, type Step } from './step.ts';

export const listImages: Step<'listImages'> = async (_command, { ports }) =>
  finished({ step: 'listImages', images: await ports.artifacts.listImages() });

export const registerImage: Step<'registerImage'> = async ({ body }, { ports }) => {
  const image = await ports.artifacts.registerImage(body.name, join(ports.paths.importDir, body.file));
  return image.ok ? finished({ step: 'registerImage', image: image.value }) : image.setback;
};

export const verifyImage: Step<'verifyImage'> = async ({ body }, { ports }) => {
  const image = await ports.artifacts.verifyImage(body.name);
  return image.ok ? finished({ step: 'verifyImage', image: image.value }) : image.setback;
};
