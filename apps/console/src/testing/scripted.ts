import type { Answer, BrokerClient } from '@carnet/publisher';
import type { FeedEntry } from '../recent-entries.ts';

export const silentLog = { info: () => undefined, warn: () => undefined, error: () => undefined };

export const entry = (n: number, type = 'MigrationIntended'): FeedEntry => ({
  cursor: `${n}.0`,
  digest: n.toString(16).padStart(64, '0'),
  publisher: 'csp-a.example',
  audience: 'csp-b.example',
  type,
});

/** A broker of which a test says what it answers and publishes; it remembers what it was asked. */
export interface ScriptedClient extends Pick<BrokerClient, 'get' | 'follow'> {
  readonly asked: readonly string[];
  readonly followedFrom: readonly string[];
  readonly publish: (entry: FeedEntry) => void;
  readonly answers: (next: Answer<unknown>) => void;
}

export function scriptedClient(): ScriptedClient {
  const asked: string[] = [];
  const followedFrom: string[] = [];
  const published: FeedEntry[] = [];
  let wake = (): void => undefined;
  let answer: Answer<unknown> = { ok: true, value: { items: [] } };
  async function* follow(cursor: string, signal?: AbortSignal): AsyncGenerator<FeedEntry> {
    followedFrom.push(cursor);
    let next = published.findIndex((e) => e.cursor === cursor) + 1;
    signal?.addEventListener('abort', () => wake());
    while (signal?.aborted !== true) {
      const found = published[next];
      if (found === undefined) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      } else {
        next += 1;
        yield found;
      }
    }
  }
  return {
    asked,
    followedFrom,
    publish: (e) => {
      published.push(e);
      wake();
    },
    answers: (next) => {
      answer = next;
    },
    // The types are the callers' claims about JSON: a script has none of its own.
    get: async <T>(path: string) => {
      asked.push(path);
      return answer as Answer<T>;
    },
    follow: <T>(cursor: string, signal?: AbortSignal) => follow(cursor, signal) as AsyncIterable<unknown> as AsyncIterable<T>,
  };
}
