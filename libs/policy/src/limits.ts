/** Characters of one file of a policy set: a person has to be able to read it, and every decision's replay parses it. */
export const FILE_CHARS_MAX = 262_144;
/** Policies of one set, those of Carnet included. */
export const POLICIES_MAX = 500;
/** Entities of one set: users, projects, tenants, CSPs, hosts. */
export const ENTITIES_MAX = 10_000;
/** Characters of a reason in an event (`TEXT_CHARS_MAX` of events). */
export const REASON_CHARS_MAX = 512;
/** Accreditations that one set knows: of a CSP and its peers, by every accreditor. All are verified at each decision: 0.1 ms each. */
export const ACCREDITATIONS_KNOWN_MAX = 64;
/** CSPs that one refusal names instead: with their names and the sentence it fits into a reason. */
export const ALTERNATIVES_NAMED_MAX = 3;
/** CSPs of a set that are tried for it: each takes a millisecond. */
export const ALTERNATIVES_ASKED_MAX = 64;
/** Longest life of a statement of a broken glass, in milliseconds: what a person believed yesterday may be wrong today. */
export const BREAK_GLASS_STATEMENT_MS_MAX = 86_400_000;
