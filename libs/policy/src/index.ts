export { canonicalText } from './canonical.ts';
export { POLICY_CODES, type PolicyCode } from './codes.ts';
export {
  type ApprovalVerdict,
  type Disagreement,
  decideApproval,
  decideMove,
  disagreement,
  personOf,
  questionAbout,
} from './decide.ts';
export { ENGINE, type Entity, type PolicyText } from './engine.ts';
export type { Person } from './entities.ts';
export {
  downgradeOf,
  type Hash,
  levelOf,
  openPolicySet,
  type PolicyFiles,
  type PolicyRefusal,
  type PolicyResult,
  type PolicySet,
  placesOf,
  rolesOf,
} from './policy-set.ts';
export { type ApprovalQuestion, homeOf, type Subject } from './question.ts';
export { loosened, restrictionsOf } from './restrictions.ts';
export { type Role, role } from './roles.ts';
export { SCHEMA } from './schema.ts';
