/** Every bound of the event language, with its reason. */

/** One event, envelope included, in bytes. A peer's event is held in memory while it is judged. */
export const EVENT_BYTES_MAX = 65_536;
/** Clocks of two CSPs, of a host and its broker, or of a person, may differ by this much, in milliseconds: kept by NTP they differ by less. */
export const CLOCK_SKEW_MS_MAX = 300_000;
/** Causes per event: the peer's events that one step can rely on. */
export const CAUSES_MAX = 16;
/** Disks of one VM: keeps a deposit (one KEM ciphertext of 1,120 bytes each) inside EVENT_BYTES_MAX. */
export const DISKS_MAX = 16;
/** Artifacts of one round: disks, memory, NVRAM, vTPM. */
export const ARTIFACTS_MAX = DISKS_MAX + 3;
/** Largest artifact, in bytes: 16 TiB, as qcow2 with 64 KiB clusters. A peer's absurd size is refused before any allocation. */
export const ARTIFACT_BYTES_MAX = 17_592_186_044_416;
/** Memory of one VM, in MiB: 4 TiB. */
export const MEMORY_MIB_MAX = 4_194_304;
/** Virtual processors of one VM: QEMU's own q35 limit in version 7.2. */
export const VCPUS_MAX = 288;
/** Characters in a text meant for people (reasons, names). */
export const TEXT_CHARS_MAX = 512;
/** Reasons in one refusal. */
export const REASONS_MAX = 16;
/** Certificates of one chain below the root: leaf and intermediate, with one spare. */
export const CHAIN_CERTIFICATES_MAX = 3;
/** Base64 characters of one certificate: 6 KiB of DER. */
export const CERTIFICATE_BASE64_MAX = 8_192;
/** Security levels of hosts and VMs, from 0. */
export const SECURITY_LEVEL_MAX = 9;
/** Labels of one VM. */
export const LABELS_MAX = 16;
/** Jurisdictions that one VM may enter: more than there are states in any union. */
export const JURISDICTIONS_MAX = 64;
/** Second persons of one migration. */
export const APPROVALS_MAX = 4;
/** Policies that one decision names; all that a person will read. */
export const POLICIES_NAMED_MAX = 16;
/** Persons of the source that break the glass: fewer than two is one person's whim, more than four are never reached in time. */
export const BREAK_GLASS_PERSONS_MIN = 2;
export const BREAK_GLASS_PERSONS_MAX = 4;
/** Characters of a principal: a SPIFFE ID, or the name of a token. */
export const PRINCIPAL_CHARS_MAX = 400;
/** Custodians of one escrow: all of them can be called on one day, and what is said of them stays far below an envelope's bound. */
export const ESCROW_CUSTODIANS_MAX = 16;
/** Days for which ledgers are kept under an agreement: a century. */
export const RETENTION_DAYS_MAX = 36_500;
/** Seconds of the longest rollback window: what a broker's configuration allows, a week. */
export const ROLLBACK_WINDOW_SECONDS_MAX = 604_800;
/** Claims of one accreditation, and claims that one VM demands: a person reads them. */
export const ACCREDITED_CLAIMS_MAX = 16;
/** Serials that one accreditor revoked, for ever: a list stays far below a file of a policy set. */
export const REVOKED_SERIALS_MAX = 1_000;
/** Accreditations of its own that a source shows with an intent: each is about 1 KiB of it. */
export const ACCREDITATIONS_MAX = 8;
/** Accreditors whose revocations one announcement numbers. */
export const ACCREDITORS_MAX = 32;

/** A checkpoint and two signature lines: 1 KiB with the longest names. */
export const NOTE_CHARS_MAX = 4_096;
/**
 * Events of one migration that count in one ledger: the first ones, for both sides and every auditor alike. An honest side says fewer than twenty. Threat:
 * a peer that says ten thousand of a migration that is open, and each look at it reads them all.
 */
export const MIGRATION_EVENTS_MAX = 64;
/**
 * Words about agreements (proposals, acceptances) that count in one ledger: the first ones, void ones among them, for both sides and every auditor
 * alike. A pair agrees a few times a year; a flood is read no further.
 */
export const AGREEMENT_EVENTS_MAX = 500;

/** Events of either ledger in one proof: a checkpoint is contradicted by all that it covers, an unknown cause by all that the audience ever said. */
export const PROOF_EVENTS_MAX = 10_000;
/** The file of one proof, in bytes: as many events of 2 KiB, in base64. It is held in memory where it is judged. */
export const PROOF_BYTES_MAX = 33_554_432;
