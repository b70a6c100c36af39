import type { EventData } from '@carnet/events';

export type KeyChange = EventData<'KeyStateChanged'>;

/** What a peer is told of a key, in one spelling: by it the row of an event is found again. */
export const announcementText = ({ key, version, migration, from, to, reason, at }: KeyChange): string =>
  JSON.stringify({ key, version, migration, from, to, reason, at });
