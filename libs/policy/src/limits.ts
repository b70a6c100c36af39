/** Characters of one file of a policy set: a person has to be able to read it, and every decision's replay parses it. */
export const FILE_CHARS_MAX = 262_144;
/** Policies of one set, those of Carnet included. */
export const POLICIES_MAX = 500;
/** Entities of one set: users, projects, tenants, CSPs, hosts. */
export const ENTITIES_MAX = 10_000;
/** Characters of a reason in an event (`TEXT_CHARS_MAX` of events). */
export const REASON_CHARS_MAX = 512;
