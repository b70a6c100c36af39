import {
  type ArtifactId,
  type ArtifactKind,
  type DepositedKey,
  isBeforeStart,
  isWeakerRekey,
  type RekeyedVolume,
  type RekeyMethod,
  unreachable,
} from '@carnet/events';
import { BREAK_GLASS_ANSWERS } from './causes.ts';
import type { VoidCode } from './codes.ts';
import { breakGlassFrom } from './deadlines.ts';
import { type MigrationState, mustResume } from './journey.ts';
import type { Stated, StatedOf } from './steps.ts';
import { isAfter } from './time.ts';

type Verdict = VoidCode | undefined;

/** Same members, nothing twice: an artifact or key listed two times would hide that another is missing. */
const sameSet = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && new Set(a).size === a.length && new Set([...a, ...b]).size === a.length;

const rootLine = (r: { readonly artifact: ArtifactId; readonly root: string }): string => `${r.artifact} ${r.root}`;

/**
 * What each event must satisfy beyond its side's phase and its references, which were checked before. Reads facts of the own
 * side, and of the peer only those that this side has cited by now: so every causal order gives the same verdict.
 */
export function check(m: MigrationState, e: Stated): Verdict {
  switch (e.type) {
    case 'MigrationOffered':
      return checkOffer(m, e);
    case 'OfferAgreed':
      return m.facts.MigrationOffered && isAfter(e.time, m.facts.MigrationOffered.data.until) ? 'TOO_LATE' : undefined;
    case 'KeyDeposited':
      return checkDeposit(m, e);
    case 'DepositAcknowledged':
      return sameSet(
        e.data.macs.map((mac) => mac.key),
        m.facts.KeyDeposited?.data.keys.map((k) => k.key) ?? [],
      )
        ? undefined
        : 'KEYS_DIFFER';
    case 'ImageSealed':
      return checkSealed(m, e);
    case 'ImageVerified':
      return checkVerified(m, e);
    case 'KeyReleased':
      return checkRelease(m, e);
    case 'KeyImported':
      return checkImported(m, e);
    case 'StartAuthorized':
      // The fence register of this epoch lives on the host that the offer pinned: no other host knows it.
      if (e.data.host !== m.facts.MigrationOffered?.data.agent.host) return 'HOST_DIFFERS';
      return m.targetPhase === 'imported' && isBeforeStart(agreedRekey(m)) ? 'REKEY_OWED' : undefined;
    case 'VolumeRekeyed':
      return checkRekeyed(m, e);
    case 'MigrationFinalized':
      return m.facts.VolumeRekeyed ? undefined : 'WRONG_PHASE';
    case 'MigrationRelinquished':
      return checkRelinquished(m, e);
    case 'SourceResumed':
      return checkResumed(m, e);
    case 'BreakGlassResumed':
      return checkBreakGlass(m, e);
    case 'MigrationIntended':
    case 'MigrationRefused':
    case 'TargetReady':
    case 'SourceQuiesced':
    case 'VmStarted':
    case 'VmHealthy':
    case 'SourceRetired':
    case 'MigrationWithdrawn':
    case 'CopyFenced':
    case 'CopyDiscarded':
      return undefined;
    default:
      return unreachable(e);
  }
}

function checkOffer(m: MigrationState, e: StatedOf<'MigrationOffered'>): Verdict {
  const intent = m.facts.MigrationIntended;
  if (intent && isAfter(e.time, intent.data.offerBy)) return 'TOO_LATE';
  return intent && isWeakerRekey(e.data.rekey ?? 'none', intent.data.rekey ?? 'none') ? 'REKEY_WEAKER' : undefined;
}

/** What the target offered, and the source agreed to: absent in the offers of the first brokers, which re-keyed nothing. */
export const agreedRekey = (m: MigrationState): RekeyMethod => m.facts.MigrationOffered?.data.rekey ?? 'none';

/** As much as was agreed, or more; each method at its time, once, and of every disk. */
function checkRekeyed(m: MigrationState, e: StatedOf<'VolumeRekeyed'>): Verdict {
  if (isWeakerRekey(e.data.method, agreedRekey(m))) return 'REKEY_WEAKER';
  const deposited = m.facts.KeyDeposited?.data.keys ?? [];
  const isItsTime = isBeforeStart(e.data.method)
    ? m.targetPhase === 'imported'
    : m.targetPhase === 'healthy' && !m.facts.VolumeRekeyed;
  if (!isItsTime) return 'WRONG_PHASE';
  if (e.data.method === 'none')
    return e.data.artifacts.every((a) => deposited.some((k) => k.artifact === a)) ? undefined : 'ARTIFACTS_DIFFER';
  return checkReplaced(deposited, e.data.volumes);
}

/** For each disk, the key that came gives way to one that the source never had, and its header to another. */
function checkReplaced(deposited: readonly DepositedKey[], volumes: readonly RekeyedVolume[]): Verdict {
  const disks = deposited.filter(({ kind }) => kind === 'disk');
  const line = (k: { readonly key: string; readonly version: number }, artifact: string): string =>
    `${artifact} ${k.key} ${k.version}`;
  const came = volumes.map(({ artifact, from }) => line(from, artifact));
  if (
    !sameSet(
      came,
      disks.map((disk) => line(disk, disk.artifact)),
    )
  )
    return 'KEYS_DIFFER';
  const own = volumes.map(({ to }) => to.key);
  if (new Set([...own, ...deposited.map(({ key }) => key)]).size !== own.length + deposited.length) return 'KEYS_DIFFER';
  const isDead = ({ artifact, from, to }: RekeyedVolume): boolean => {
    const frozen = disks.find((disk) => disk.artifact === artifact)?.headerDigest;
    return from.headerDigest !== to.headerDigest && (frozen === undefined || frozen === from.headerDigest);
  };
  return volumes.every(isDead) ? undefined : 'HEADER_UNCHANGED';
}

/** All keys or none: exactly one key for each disk and for the vTPM, and one for the memory state if, and only if, it travels. */
function checkDeposit(m: MigrationState, e: StatedOf<'KeyDeposited'>): Verdict {
  const intent = m.facts.MigrationIntended?.data;
  if (!intent) return 'CITATION_MISSING';
  const artifacts = e.data.keys.map((k) => k.artifact);
  const keys = (kind: ArtifactKind) => e.data.keys.filter((k) => k.kind === kind).map((k) => `${k.artifact} ${k.key}`);
  const { disks, tpm } = intent.spec;
  const memory = e.data.keys.filter((k) => k.kind === 'memory').length;
  const whole =
    sameSet(artifacts, [...new Set(artifacts)]) &&
    sameSet(
      keys('disk'),
      disks.map((disk) => `${disk.artifact} ${disk.key}`),
    ) &&
    sameSet(keys('vtpm'), tpm === undefined ? [] : [`${tpm.artifact} ${tpm.key}`]) &&
    keys('nvram').length === 0 &&
    memory === (intent.mode === 'suspend' ? 1 : 0);
  return whole ? undefined : 'KEYS_DIFFER';
}

function checkSealed(m: MigrationState, e: StatedOf<'ImageSealed'>): Verdict {
  // Rounds before the last belong to mode warm, which this version does not move in.
  if (!e.data.final || e.data.round !== 0) return 'ROUND_UNEXPECTED';
  const deposited = m.facts.KeyDeposited?.data.keys ?? [];
  const sealed = e.data.artifacts.map((a) => `${a.artifact} ${a.kind}`);
  return sameSet(
    sealed,
    deposited.map((k) => `${k.artifact} ${k.kind}`),
  )
    ? undefined
    : 'ARTIFACTS_DIFFER';
}

function checkVerified(m: MigrationState, e: StatedOf<'ImageVerified'>): Verdict {
  const sealed = m.facts.ImageSealed?.data;
  if (sealed && e.data.round !== sealed.round) return 'ROUND_UNEXPECTED';
  return sameSet(e.data.roots.map(rootLine), sealed?.artifacts.map(rootLine) ?? []) ? undefined : 'ROOTS_DIFFER';
}

/** The point of no unilateral return: inside every limit that was promised for it, and for the image that B verified. */
function checkRelease(m: MigrationState, e: StatedOf<'KeyReleased'>): Verdict {
  const { MigrationIntended: intent, TargetReady: ready, KeyDeposited: deposit, ImageVerified: verified } = m.facts;
  if (!intent || !ready || !deposit || !verified) return 'CITATION_MISSING';
  const limits = [ready.data.until, deposit.data.notAfter, intent.data.deadline];
  if (limits.some((limit) => isAfter(e.time, limit))) return 'TOO_LATE';
  return sameSet(e.data.roots.map(rootLine), verified.data.roots.map(rootLine)) ? undefined : 'ROOTS_DIFFER';
}

function checkImported(m: MigrationState, e: StatedOf<'KeyImported'>): Verdict {
  const line = (k: { readonly key: string; readonly version: number; readonly artifact: string }): string =>
    `${k.key} ${k.version} ${k.artifact}`;
  return sameSet(e.data.keys.map(line), m.facts.KeyDeposited?.data.keys.map(line) ?? []) ? undefined : 'KEYS_DIFFER';
}

/**
 * A release may exist, or come, once the target has verified the image: from there on giving up needs the host's word that it
 * will never start this epoch. A withdrawal that is cited excludes every release.
 */
function checkRelinquished(m: MigrationState, e: StatedOf<'MigrationRelinquished'>): Verdict {
  if (e.data.never !== undefined) return undefined;
  return neverRequired(m, e.causes) ? 'NEVER_MISSING' : undefined;
}

/** Whether the target's end needs the evidence `never`; `causes` are those of the event that is to end it. */
export function neverRequired(m: MigrationState, causes: readonly string[]): boolean {
  if (m.targetPhase === 'offered' || m.targetPhase === 'acknowledged' || m.targetPhase === 'ready') return false;
  const withdrawn = m.facts.MigrationWithdrawn;
  return withdrawn === undefined || !causes.includes(withdrawn.digest);
}

/** After the deadline, in a new epoch, and never once the target has answered: whether the quorum holds, brokers and auditors judge. */
function checkBreakGlass(m: MigrationState, e: StatedOf<'BreakGlassResumed'>): Verdict {
  const hasAnswered = BREAK_GLASS_ANSWERS.some((type) => {
    const answer = m.facts[type];
    return answer !== undefined && e.causes.includes(answer.digest);
  });
  if (hasAnswered) return 'PEER_ANSWERED';
  if (e.data.opens <= m.epoch) return 'EPOCH_REUSED';
  const from = breakGlassFrom(m);
  return from !== undefined && isAfter(e.time, from) ? undefined : 'TOO_EARLY';
}

/** After a release only the target's word lets the source run again; after a withdrawal its own does. */
function checkResumed(m: MigrationState, e: StatedOf<'SourceResumed'>): Verdict {
  if (m.sourcePhase === 'reclaimed') return e.data.cites === m.facts.BreakGlassResumed?.digest ? undefined : 'CITATION_MISMATCH';
  if (m.sourcePhase === 'withdrawn') {
    if (!mustResume(m)) return 'WRONG_PHASE';
    return e.data.cites === m.facts.MigrationWithdrawn?.digest ? undefined : 'CITATION_MISMATCH';
  }
  if (!e.causes.includes(e.data.cites)) return 'CITATION_MISSING';
  return e.data.cites === m.facts.MigrationRelinquished?.digest ? undefined : 'CITATION_MISMATCH';
}
