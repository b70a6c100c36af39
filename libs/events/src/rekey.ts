import { z } from 'zod';

/**
 * What a target does to the volumes that arrived (protocol, section 6), before the VM runs on them or, `full-online`, while it does. `none`: the source's keys and
 * LUKS headers still open what comes later. `slot`: a new passphrase in place of the old one; whoever kept the old header, or the
 * volume (master) key, still reads. `full`: encrypted again under a volume key that the source never knew. `full-online`: as `full`, on the running VM:
 * it starts at once on the volumes as they came, and the source is let go only when none of them is in use any more.
 */
export const rekeyMethod = z.enum(['none', 'slot', 'full-online', 'full']);
export type RekeyMethod = z.infer<typeof rekeyMethod>;

/** The weakest first. What `full-online` writes is readable to the source until it is done: weaker than `full`, stronger than `slot` at its end. */
const STRENGTH: readonly RekeyMethod[] = rekeyMethod.options;

/** What is done in staging, before anything is authorised: a refusal still gives the VM back. */
export const isBeforeStart = (method: RekeyMethod): method is 'slot' | 'full' => method === 'slot' || method === 'full';

export const isWeakerRekey = (a: RekeyMethod, b: RekeyMethod): boolean => STRENGTH.indexOf(a) < STRENGTH.indexOf(b);
export const strongerRekey = (a: RekeyMethod, b: RekeyMethod): RekeyMethod => (isWeakerRekey(a, b) ? b : a);
