import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { digest, event, isMigrationEvent, type VmId } from '@carnet/events';
import { evolve, initialJourney, type Journey, type Placed } from '@carnet/saga';
import { z } from 'zod';

const recorded = z.object({ events: z.array(z.object({ event, digest })) });

/** The golden histories of `test/histories`: what two brokers said, from the first event to the last. */
export function historyOf(name: string): readonly Placed[] {
  const text = readFileSync(join(import.meta.dirname, `../../../../test/histories/${name}.golden.json`), 'utf8');
  return recorded
    .parse(JSON.parse(text))
    .events.flatMap(({ event: told, digest: place }) => (isMigrationEvent(told) ? [{ event: told, digest: place }] : []));
}

export const vmOf = (history: readonly Placed[]): VmId => {
  const [first] = history;
  if (first?.event.type !== 'MigrationIntended') throw new Error('expected a history that begins with an intent');
  return first.event.data.vm;
};

export const fold = (history: readonly Placed[]): Journey =>
  history.reduce((journey, next) => evolve(journey, next).journey, initialJourney(vmOf(history)));
