export { POLICY_CODES, type PolicyCode } from './codes.ts';
export { decideAsSource, decideAsTarget, rolesOf, type SourceQuestion, type TargetQuestion } from './decide.ts';
export { matches } from './match.ts';
export { canonicalText, type Policy, type PolicySet, policySet, type Rule } from './policy-set.ts';
export { type Role, role } from './roles.ts';
