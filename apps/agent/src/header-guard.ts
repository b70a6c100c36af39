import { stat } from 'node:fs/promises';
import { done, type GuardedHeader, type LuksPlace, type Outcome } from '@carnet/hypervisor';
import * as images from '@carnet/images';
import { told } from './outcomes.ts';

/** Judges a qcow2 by our own parser: encrypted, self-contained, within bounds; and says which LUKS header it has. */
export async function guard(path: string): Promise<Outcome<GuardedHeader>> {
  const header = told(await images.guardHeader(path, { format: 'qcow2' }), 'IMAGE_REFUSED');
  if (!header.ok) return header;
  const headerDigest = told(await images.luksHeaderDigest(path, { format: 'qcow2' }), 'IMAGE_REFUSED');
  if (!headerDigest.ok) return headerDigest;
  const { size } = await stat(path);
  return done({ capacityBytes: header.value.virtualBytes, sizeBytes: size, headerDigest: headerDigest.value });
}

/** Where the LUKS header of a volume lies: only the header's own bytes are ever overwritten. */
export async function luksPlace(path: string): Promise<Outcome<LuksPlace>> {
  const header = told(await images.guardHeader(path, { format: 'qcow2' }), 'IMAGE_REFUSED');
  if (!header.ok) return header;
  const { luksOffset, luks } = header.value;
  return done({ offset: luksOffset, bytes: luks.headerBytes, activeSlots: luks.activeSlots });
}
