export { tokensAbout } from './accreditation.ts';
export { type Agreed, type Agreement, agreedIn, type Proposal, type Said, signedIn } from './agreed.ts';
export {
  BREAK_GLASS_CODES,
  type BreakGlassCase,
  type BreakGlassCode,
  type BreakGlassPorts,
  breakGlassFault,
} from './break-glass.ts';
export {
  asksAboutBreakGlass,
  breakGlassDisagreement,
  decideBreakGlass,
  type Glass,
  permitsNoBreakGlass,
  questionsAbout,
} from './break-glass-decision.ts';
export { canonicalText } from './canonical.ts';
export { POLICY_CODES, type PolicyCode } from './codes.ts';
export { imageOf } from './consent.ts';
export type { Crypto, Hash } from './crypto.ts';
export {
  type ApprovalVerdict,
  byRecord,
  type Disagreement,
  decideApproval,
  decideMove,
  disagreement,
  moveOf,
  questionAbout,
} from './decide.ts';
export { ENGINE, type Entity, type PolicyText } from './engine.ts';
export type { Person } from './entities.ts';
export {
  type Announced,
  downgradeOf,
  highestAnnounced,
  jurisdictionsOf,
  levelOf,
  openPolicySet,
  type PolicyFiles,
  type PolicyRefusal,
  type PolicyResult,
  type PolicySet,
  placesOf,
  rolesOf,
} from './policy-set.ts';
export { type ApprovalQuestion, homeOf, type Move } from './question.ts';
export { loosened, loosenedAway, restrictionsOf } from './restrictions.ts';
export { type Role, role } from './roles.ts';
export { SCHEMA } from './schema.ts';
export {
  escrowFault,
  moveFault,
  type Own,
  ownFault,
  type Quorum,
  type Terms,
  type TermsCode,
  type TermsFault,
} from './terms.ts';
