import type { PolicyQuestion } from '@carnet/events';
import type { Answer, Entity } from './engine.ts';
import { ALTERNATIVES_ASKED_MAX, ALTERNATIVES_NAMED_MAX } from './limits.ts';

/** Carnet's own policies that another place cannot help with, or that its owner's next signature will. */
const IS_OF_PLACE = /^carnet\/(?!consent-)/;

const levelOf = ({ attrs }: Entity): number => (typeof attrs['level'] === 'number' ? attrs['level'] : 0);

/**
 * Where a VM whose level is too high for this place could go, from the set alone, so that it replays. The source names other CSPs to its
 * own people; the target speaks of its own hosts only, since whom else it knows is nobody's business.
 *
 * @param ask the same question about another target, as the source asks it
 */
export function alternativesTo(
  entities: readonly Entity[],
  { action, source, target }: PolicyQuestion,
  level: number,
  ask: (other: string) => Answer,
): string {
  if (action === 'receive') {
    const highest = Math.max(0, ...entities.filter(({ uid }) => uid.type === 'Host').map(levelOf));
    return highest >= level && level > 0 ? ` Compliant: a host of level ${highest} here, when it is up.` : '';
  }
  const others = entities
    .filter(({ uid: { type, id } }) => type === 'Csp' && id !== source && id !== target)
    .slice(0, ALTERNATIVES_ASKED_MAX)
    .filter(({ uid }) => isOpen(ask(uid.id)))
    .map((csp) => `${csp.uid.id} (level ${levelOf(csp)})`);
  return others.length === 0 ? '' : ` Compliant: ${others.slice(0, ALTERNATIVES_NAMED_MAX).join(', ')}.`;
}

const isOpen = ({ determining, errors }: Answer): boolean =>
  errors.length === 0 && !determining.some((id) => IS_OF_PLACE.test(id));
