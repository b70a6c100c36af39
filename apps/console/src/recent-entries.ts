import { KEY_EVENTS_PER_LEDGER_MAX, RECENT_CHARS_MAX, RECENT_ENTRIES_MAX } from './limits.ts';

/** A ledger entry as the broker's feed gives it; the rest of it is relayed unread. */
export interface FeedEntry {
  readonly cursor: string;
  readonly digest: string;
  readonly publisher: string;
  readonly audience: string;
  readonly type: string;
}

interface Kept {
  readonly cursor: string;
  readonly json: string;
}

/** Where a browser's next entries are. `lost`: it must read everything anew, since entries between were dropped. */
export type Reading =
  | { readonly kind: 'entries'; readonly entries: readonly Kept[]; readonly next: number }
  | { readonly kind: 'lost'; readonly next: number };

const KEY_EVENTS: ReadonlySet<string> = new Set(['KeyAnnounced', 'KeyRevoked']);

/** The last entries of all ledgers, for browsers that come back, and every entry about keys, for those that verify. */
export class RecentEntries {
  readonly #kept: Kept[] = [];
  #chars = 0;
  /** Number of the first kept entry; entries are numbered from 0 as they come. */
  #first = 0;
  readonly #keyEvents = new Map<string, readonly FeedEntry[]>();

  add(entry: FeedEntry): void {
    const json = JSON.stringify(entry);
    this.#kept.push({ cursor: entry.cursor, json });
    this.#chars += json.length;
    while (this.#kept.length > RECENT_ENTRIES_MAX || (this.#chars > RECENT_CHARS_MAX && this.#kept.length > 1))
      this.#dropOldest();
    if (KEY_EVENTS.has(entry.type)) this.#keep(entry);
  }

  /** The number that the next entry will have. */
  get end(): number {
    return this.#first + this.#kept.length;
  }

  /** Entries about keys, each ledger's in order. */
  get keyEvents(): readonly FeedEntry[] {
    return [...this.#keyEvents.values()].flat();
  }

  /** The number after the entry with this cursor, or `undefined` when it is not kept. */
  after(cursor: string): number | undefined {
    const index = this.#kept.findLastIndex((kept) => kept.cursor === cursor);
    return index === -1 ? undefined : this.#first + index + 1;
  }

  from(number: number): Reading {
    if (number < this.#first) return { kind: 'lost', next: this.end };
    return { kind: 'entries', entries: this.#kept.slice(number - this.#first), next: this.end };
  }

  #dropOldest(): void {
    const oldest = this.#kept.shift();
    this.#first += 1;
    this.#chars -= oldest?.json.length ?? 0;
  }

  #keep(entry: FeedEntry): void {
    const ledger = `${entry.publisher} ${entry.audience}`;
    const known = this.#keyEvents.get(ledger) ?? [];
    // A feed that starts anew tells everything again, perhaps under other cursors.
    if (known.length < KEY_EVENTS_PER_LEDGER_MAX && !known.some((k) => k.digest === entry.digest))
      this.#keyEvents.set(ledger, [...known, entry]);
  }
}
