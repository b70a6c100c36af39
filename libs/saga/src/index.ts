export { ADVICE, type Advice, TASKS } from './advice.ts';
export { agreedRekey } from './checks.ts';
export { CODES, type RefusalCode, type VoidCode } from './codes.ts';
export { type Command, type CommandOf, type CommandType, type EndCode, type EndReason, NEEDS } from './command.ts';
export { breakGlassFrom, givesUpAt, nextDeadline } from './deadlines.ts';
export { type Decision, decide, type Proposal } from './decide.ts';
export { type Diagnosis, diagnose, type Standing, standingOf, type Turn } from './diagnose.ts';
export { type Evolved, evolve, type Placed } from './evolve.ts';
export {
  ended,
  epochAfter,
  type Fact,
  type Facts,
  type FactType,
  hasFacts,
  haveBothRun,
  highestEpoch,
  initialJourney,
  isSplitSuspected,
  type Journey,
  type MigrationState,
  migrationOf,
  mustResume,
  peerOf,
  SAID_WHILE_STILL,
  type Side,
  type SourcePhase,
  sideOf,
  sourceEnded,
  standsStill,
  type TargetPhase,
  targetEnded,
} from './journey.ts';
export { APPEND_MARGIN_MS, DELIVERY_GRACE_MS } from './limits.ts';
export { react, resumeAfterAll } from './react.ts';
export { BEFORE_PUBLISHING } from './steps.ts';
export { type Custody, type Phase, phaseOf, type Summary, summarize } from './summarize.ts';
