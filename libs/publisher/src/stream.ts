import type { IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { causeText, StreamRefused } from './answer.ts';
import { LINE_CHARS_MAX, RETRY_MS_MAX } from './limits.ts';

/** Lines of a response, bounded; a connection cut inside the body throws, so half an export is never taken for a whole one. */
export async function* lines(response: IncomingMessage): AsyncGenerator<string> {
  let rest = '';
  response.setEncoding('utf8');
  for await (const part of response as AsyncIterable<string>) {
    const pieces = (rest + part).split('\n');
    rest = pieces.pop() ?? '';
    if (rest.length > LINE_CHARS_MAX) throw new Error(`a line exceeds ${LINE_CHARS_MAX} characters`);
    yield* pieces;
  }
  if (!response.complete) throw new Error('the stream was cut');
  if (rest !== '') yield rest;
}

/** Server-sent events (WHATWG HTML, section 9.2) as brokers write them; comments and other fields are skipped. */
export async function* serverSentEvents(
  response: IncomingMessage,
): AsyncGenerator<{ readonly id: string; readonly data: string }> {
  let id = '';
  let data: string[] = [];
  for await (const line of lines(response)) {
    if (line.startsWith('id: ')) id = line.slice(4);
    else if (line.startsWith('data: ')) data.push(line.slice(6));
    else if (line === '' && data.length > 0) {
      yield { id, data: data.join('\n') };
      data = [];
    }
  }
}

export interface FollowPorts {
  readonly open: (cursor: string) => Promise<IncomingMessage>;
  readonly firstRetryMs: number;
  readonly onRetry: (text: string) => void;
  readonly signal: AbortSignal | undefined;
}

/**
 * Events from a cursor on, over as many connections as it takes, until the signal. A reader sees each event that follows its
 * cursor; the one at which a connection broke may come twice only if the broker lost the cursor's meaning.
 *
 * @throws StreamRefused when the broker answers and refuses
 */
export async function* follow<T>({ open, firstRetryMs, onRetry, signal }: FollowPorts, from: string): AsyncGenerator<T> {
  let cursor = from;
  let pauseMs = firstRetryMs;
  const stopped = (): boolean => signal?.aborted === true;
  while (!stopped()) {
    try {
      for await (const { id, data } of serverSentEvents(await open(cursor))) {
        cursor = id;
        pauseMs = firstRetryMs;
        yield JSON.parse(data) as T;
      }
      onRetry('the broker ended the stream');
    } catch (cause) {
      if (cause instanceof StreamRefused) throw cause;
      if (stopped()) return;
      onRetry(causeText(cause));
    }
    await pause(pauseMs, signal);
    pauseMs = Math.min(pauseMs * 2, RETRY_MS_MAX);
  }
}

/** Ends early, and without a word, when the signal fires: whoever waits looks at the signal himself. */
export const pause = (ms: number, signal: AbortSignal | undefined): Promise<void> =>
  sleep(ms, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
