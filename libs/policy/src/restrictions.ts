import { UNRESTRICTED, type VmRestrictions, type VmSpec } from '@carnet/events';

export const restrictionsOf = (spec: Pick<VmSpec, 'restrictions'>): VmRestrictions => spec.restrictions ?? UNRESTRICTED;

/** What of `before` is no longer kept in `after`; `undefined`: it only became tighter. A legal hold is each holder's own. */
export function loosened(before: VmRestrictions, after: VmRestrictions): string | undefined {
  if (after.project !== before.project) return `project ${before.project} became ${after.project}`;
  const label = before.labels.find((one) => !after.labels.includes(one));
  if (label !== undefined) return `label ${label} is gone`;
  if (after.level < before.level) return `level ${before.level} became ${after.level}`;
  if (before.owner !== undefined && after.owner !== before.owner)
    return after.owner === undefined ? 'its owner is gone' : 'it has another owner';
  const claim = before.accreditations?.find((one) => after.accreditations?.includes(one) !== true);
  if (claim !== undefined) return `accreditation ${claim} is no longer demanded`;
  if (after.onward && !before.onward) return 'it may be sent on again';
  const { jurisdictions: had } = before;
  if (had === undefined) return undefined;
  const more = after.jurisdictions === undefined ? 'all' : after.jurisdictions.find((one) => !had.includes(one));
  return more === undefined ? undefined : `jurisdictions grew by ${more}`;
}

/** What a holder that is not the VM's home must not have made of `before`: anything looser, and an owner where there was none. */
export const loosenedAway = (before: VmRestrictions, after: VmRestrictions): string | undefined =>
  loosened(before, after) ?? (after.owner === before.owner ? undefined : 'it has an owner whom its home did not name');
