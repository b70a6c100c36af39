import { z } from 'zod';

/**
 * What a target does to the volumes that arrived before the VM runs on them (protocol, section 6). `none`: the source's keys and
 * LUKS headers still open what comes later. `slot`: a new passphrase in place of the old one; whoever kept the old header, or the
 * volume (master) key, still reads. `full`: encrypted again under a volume key that the source never knew.
 */
export const rekeyMethod = z.enum(['none', 'slot', 'full']);
export type RekeyMethod = z.infer<typeof rekeyMethod>;

/** The weakest first. */
const STRENGTH: readonly RekeyMethod[] = rekeyMethod.options;

export const isWeakerRekey = (a: RekeyMethod, b: RekeyMethod): boolean => STRENGTH.indexOf(a) < STRENGTH.indexOf(b);
export const strongerRekey = (a: RekeyMethod, b: RekeyMethod): RekeyMethod => (isWeakerRekey(a, b) ? b : a);
