import type { Intake } from '../bus/intake.ts';

/** Of a peer that is held by nothing. */
export const OPEN: Intake = { heldBy: () => undefined, took: () => 0 };
