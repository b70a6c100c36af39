import type { FenceEntry } from '../../../libs/hypervisor/src/fence/entry.ts';
import { VM } from '../../../libs/saga/src/testing.ts';
import type { Csp } from './csp.ts';
import type { Custody } from './custody.ts';
import type { News } from './ledger-news.ts';
import type { Violation } from './violation.ts';

const filesIn = ({ host }: Csp, folder: string): readonly string[] =>
  host.fake.files.paths().filter((path) => path.startsWith(`${folder}/`));

/**
 * I6, at the step that ends a side: who says that it has destroyed everything has done so. Whatever came of later moves since is another matter, and
 * so is what only the whole federation being quiet shows.
 */
export function saidTooEarly(
  news: readonly News[],
  custody: Custody,
  fenceOf: (csp: Csp) => FenceEntry | undefined,
): Violation | undefined {
  for (const { holder, entries } of news)
    for (const { event } of entries) {
      if (event === undefined || event.publisher !== holder.domain || !('epoch' in event)) continue;
      if (event.type !== 'SourceRetired' && event.type !== 'MigrationRelinquished') continue;
      const { paths } = holder.host.fake.ports;
      const isOurs = fenceOf(holder)?.epoch === event.epoch;
      const left = [
        ...filesIn(holder, paths.staging(VM, event.epoch)),
        ...(isOurs ? filesIn(holder, paths.home(VM)) : []),
        ...(isOurs && custody.isActive(holder.database) ? ['an active key'] : []),
      ];
      if (left.length > 0)
        return {
          rule: 'I6 nothing left',
          text: `${holder.domain} says ${event.type} @${event.epoch}, and has ${left.join(', ')}`,
        };
    }
  return undefined;
}
