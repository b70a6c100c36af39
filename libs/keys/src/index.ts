export { atomically, orRefused } from './atomically.ts';
export { exchange } from './backends/barbican/http.ts';
export { type ApplicationLogin, issueToken } from './backends/barbican/keystone.ts';
export { recordLabels, secretName } from './backends/barbican/labels.ts';
export type { Settled } from './backends/barbican/settle.ts';
export type { KeyRoot } from './backends/service.ts';
export type { BarbicanOptions } from './backends/session.ts';
export { createTokenRoot } from './backends/token-root.ts';
export type { Random } from './bytes.ts';
export { type KeyProcess, startKeyProcess } from './child/pool.ts';
export { CODES } from './codes.ts';
export { type BoundKey, DERIVATIONS, type Handover, handover } from './context.ts';
export { type KeyView, type NewDek, type StateChange, vmConsumer } from './deks.ts';
export {
  type CustodianFile,
  createCustodianFile,
  custodianFile,
  giveOwnShare,
  type Own,
  proveOwnShare,
} from './escrow/custodian.ts';
export type { Custodian } from './escrow/custodians.ts';
export type { DrillView, DrillWanted } from './escrow/drills.ts';
export type { Escrow, EscrowWanted } from './escrow/escrows.ts';
export type { OwedNews } from './escrow/news.ts';
export type { Escrows } from './escrow/open.ts';
export type { EscrowContext } from './escrow/ports.ts';
export type { Approved, Recovery } from './escrow/recoveries.ts';
export type { Said } from './escrow/statements.ts';
export * as statements from './escrow/statements.ts';
export { type EscrowTerms, escrowTerms } from './escrow/terms.ts';
export type { DepositReceived, ExpectedArtifact, KeyPairRequest, OfferedKey } from './handover/acknowledge.ts';
export type { Arrived } from './handover/bring-back.ts';
export type { Acknowledgement } from './handover/confirm.ts';
export type { DepositRequest } from './handover/deposit.ts';
export type { Attempt, Ending } from './handover/deposits.ts';
export type { OpenedKey, ReleaseReceived } from './handover/import.ts';
export type { ReleaseRequest } from './handover/release.ts';
export { createHostKeyPair, type HostKey, type HostSealRequest, luksPassphrase, openForHost } from './hosts.ts';
export { declareRootLost, type KeyManager, type KeyManagerOptions, openKeyManager } from './open.ts';
export { type Announcement, type KeyVerb, keyVerb, type OperatorChange } from './operate.ts';
export type { OwnWord } from './own-words.ts';
export type { Prepared } from './ports.ts';
export { lineDigest } from './records/chain.ts';
export { chainedLine, type ExportedLine } from './records/export.ts';
export type { HandedOver } from './records/handovers.ts';
export type { HistoryLine, Mark } from './records/history.ts';
export {
  isSameVersion,
  type KeyRecord,
  type KeyVersion,
  type Listing,
  type Provenance,
  type Replaces,
} from './records/holding.ts';
export type { TenantPage } from './records/of-tenant.ts';
export { compromisedBy, type KeyReport } from './records/reports.ts';
export { destructionOf, isLegal, type KeyState, keyState, TRANSITIONS } from './records/states.ts';
export type { ReplacementWanted } from './replacement.ts';
export { type KeyCode, KeysError, type Refusal, type Result } from './result.ts';
export { changePassphrase, createRootFile, readPassphrase, type Unlock } from './root-file.ts';
export type { RotationProgress, RotationRequest } from './rotation.ts';
export type { KeysOver } from './spares/erase.ts';
export type { UsesHead, UsesVerdict } from './uses/chain.ts';
export type { Grant } from './uses/grant.ts';
export { type KeyUse, keyUse, type UseReason } from './uses/use.ts';
export { type Tenant, tenant } from './vault/hierarchy.ts';
export { type HostContext, type HostPurpose, hostContext, hostPurpose, type SealedForHost, sealedForHost } from './vault/host.ts';
export { HSM, HYBRID, kemOf, SUITE } from './vault/hpke.ts';
