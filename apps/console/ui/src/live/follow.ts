import { createEventReader, type ServerSentEvent } from './server-sent-events.ts';

/** Waits between tries, ms: the first, and the longest. */
const RETRY_MS_FIRST = 500;
const RETRY_MS_MAX = 10_000;

export interface FollowPorts {
  readonly token: string;
  readonly signal: AbortSignal;
  readonly onEvent: (event: ServerSentEvent) => void;
  readonly onRefused: (status: number) => void;
}

/**
 * Follows `/api/follow` until the signal, with the token in a header: `EventSource` cannot send one. Comes back by itself
 * where it was (`Last-Event-ID`).
 */
export async function follow(ports: FollowPorts): Promise<void> {
  let last: string | undefined;
  let wait = RETRY_MS_FIRST;
  while (!ports.signal.aborted) {
    try {
      await readOnce(ports, last, (event) => {
        last = event.id ?? last;
        wait = RETRY_MS_FIRST;
        ports.onEvent(event);
      });
    } catch {
      // A cut connection is what this loop is for; that it lasts is seen by the silence.
    }
    await pause(wait, ports.signal);
    wait = Math.min(wait * 2, RETRY_MS_MAX);
  }
}

async function readOnce(ports: FollowPorts, last: string | undefined, onEvent: (event: ServerSentEvent) => void): Promise<void> {
  const headers = { authorization: `Bearer ${ports.token}`, ...(last === undefined ? {} : { 'last-event-id': last }) };
  const response = await fetch('/api/follow', { headers, signal: ports.signal });
  if (!response.ok || response.body === null) return ports.onRefused(response.status);
  const read = createEventReader();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return undefined;
    for (const event of read(value)) onEvent(event);
  }
}

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
