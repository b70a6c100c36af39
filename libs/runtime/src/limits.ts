/** Every bound of the loop, with its reason. Milliseconds. */

/** Journeys worked on at once. A host may take seconds to answer, and a hung one holds a place for as long as its time limit: enough places that the others go on. */
export const JOURNEYS_AT_ONCE = 32;
/** Another peer had work this lately: then what follows holds. A peer that is alone may have every place. */
export const OTHERS_LATELY_MS = 5_000;
/** Places of one peer: however much it has under way, another's next step finds one. */
export const PEER_PLACES_MAX = 16;
/** Of those in which what is urgent goes before the rest: VMs that stand still at a host that hangs must not hold every place. */
export const URGENT_PLACES_MAX = 12;
/** Of those for journeys in which nothing is begun: what is under way goes first, and a flood of requests has little of the processors. */
export const FRESH_PLACES_MAX = 1;
/** After such a look the next one waits as long as that took, once for each so many that the peer has asked and we have not answered, and once at least. Who empties a host is hardly held up, who asks without end is. */
export const FRESH_PER_REST = 64;
/** Full look for what is open: finds what a lost notice or a dead replica left. */
export const SWEEP_MS = 2_000;
/** An open journey is looked at this often even when nothing is heard of it. */
export const RECHECK_MS = 15_000;
/** A deadline that has passed while nothing is owed (a peer's nonsense date) must not become a spin. */
export const WAKE_MS_MIN = 200;
/** First and longest pause before a failed command is tried again. */
export const BACKOFF_MS_FIRST = 200;
export const BACKOFF_MS_MAX = 10_000;
/** A probe that takes longer is a failure: a hung database is not ready. */
export const PROBE_MS_MAX = 2_000;
/** Longer than one answer of a host takes; after it the process leaves anyway, since every effect survives a crash. */
export const DRAIN_MS_MAX = 10_000;
