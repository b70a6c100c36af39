import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from 'react';
import { follow } from './follow.ts';
import { type FeedHealth, feedHealth } from './rows.ts';
import type { ServerSentEvent } from './server-sent-events.ts';

/** Nothing heard for this long, ms: three of the server's spans between probes. */
const SILENCE_MS_MAX = 15_000;
/** A burst of entries becomes one reading, ms. */
const SETTLE_MS = 250;
const CHECK_MS = 1_000;

export interface Live {
  readonly token: string;
  /** Rises whenever something new stands in a ledger: what is shown must be read again. */
  readonly version: number;
  readonly connection: 'connecting' | 'live' | 'stale' | 'refused';
  /** What the server said last about its own connection to the broker. */
  readonly health: FeedHealth | undefined;
}

const LiveContext = createContext<Live>({ token: '', version: 0, connection: 'connecting', health: undefined });
export const useLive = (): Live => useContext(LiveContext);

export function LiveProvider({ token, children }: { readonly token: string; readonly children: ReactNode }) {
  const [version, setVersion] = useState(0);
  const [heardAt, setHeardAt] = useState<number>();
  const [health, setHealth] = useState<FeedHealth>();
  const [refused, setRefused] = useState(false);
  const [now, setNow] = useState(() => Date.now());

  useEffect(() => {
    const stop = new AbortController();
    let settle: ReturnType<typeof setTimeout> | undefined;
    const onEvent = ({ event, data }: ServerSentEvent): void => {
      setHeardAt(Date.now());
      setRefused(false);
      if (event === 'feed') setHealth(feedHealth.safeParse(JSON.parse(data)).data);
      else
        settle ??= setTimeout(() => {
          settle = undefined;
          setVersion((v) => v + 1);
        }, SETTLE_MS);
    };
    void follow({ token, signal: stop.signal, onEvent, onRefused: (status) => setRefused(status === 401) });
    const ticking = setInterval(() => setNow(Date.now()), CHECK_MS);
    return () => {
      stop.abort();
      clearTimeout(settle);
      clearInterval(ticking);
    };
  }, [token]);

  const connection = connectionOf(refused, heardAt, health, now);
  const live = useMemo(() => ({ token, version, connection, health }), [token, version, connection, health]);
  return <LiveContext value={live}>{children}</LiveContext>;
}

function connectionOf(
  refused: boolean,
  heardAt: number | undefined,
  health: FeedHealth | undefined,
  now: number,
): Live['connection'] {
  if (refused) return 'refused';
  if (heardAt === undefined) return 'connecting';
  if (now - heardAt > SILENCE_MS_MAX) return 'stale';
  return health?.state ?? 'connecting';
}
