import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { type Answer, answerOf, noAnswer, StreamRefused } from './answer.ts';
import {
  ACTION_MS_MAX,
  ANSWER_BYTES_MAX,
  ANSWER_MS_MAX,
  RETRY_MS_FIRST,
  RETRY_MS_MAX,
  SILENCE_MS_MAX,
  TRIES_MAX,
} from './limits.ts';
import { follow, lines, pause } from './stream.ts';

/** How to reach one's own broker. Buffers hold PEM. */
export interface BrokerAddress {
  readonly url: string;
  /** Name in the broker's certificate, e.g. `broker.csp-a.example`. */
  readonly serverName: string;
  /** The federation root. */
  readonly ca: Buffer | string;
  readonly credentials:
    | { readonly kind: 'certificate'; readonly certificate: Buffer | string; readonly key: Buffer | string }
    | { readonly kind: 'token'; readonly token: string };
}

export interface ClientOptions {
  /** Ends every request, stream and pause; what was asked is then answered `INTERRUPTED`. */
  readonly signal?: AbortSignal;
  /** Hears why something is tried again, for people who wait. */
  readonly onRetry?: (text: string) => void;
  /** Milliseconds; absent: as in `limits.ts`. */
  readonly patience?: { readonly answerMs?: number; readonly firstRetryMs?: number; readonly silenceMs?: number };
}

export interface BrokerClient {
  readonly get: <T>(path: string) => Promise<Answer<T>>;
  /** For what is safe to repeat (an intent, a plan, a cancellation): tried again when no answer comes. */
  readonly post: <T>(path: string, body: unknown, contentType?: string) => Promise<Answer<T>>;
  /** For work on a host: asked once, since a second asking could do it twice, and waited for longer. */
  readonly act: <T>(method: 'POST' | 'DELETE', path: string, body?: unknown) => Promise<Answer<T>>;
  /** Ledger entries after `cursor`, then live, until the signal; `''` is the beginning. Reconnects by itself and goes on where it was. */
  readonly follow: <T>(cursor: string, signal?: AbortSignal) => AsyncIterable<T>;
  /** Newline-delimited JSON, line by line; a cut stream throws. */
  readonly lines: (path: string, signal?: AbortSignal) => AsyncIterable<string>;
  readonly close: () => void;
}

interface Asked {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly answerMs: number;
}

/** A client of one broker: TLS 1.3, its certificate checked against the federation root, answers bounded in size and time. */
export function connectBroker(address: BrokerAddress, options: ClientOptions = {}): BrokerClient {
  const {
    signal: ending,
    patience: { answerMs = ANSWER_MS_MAX, firstRetryMs = RETRY_MS_FIRST, silenceMs = SILENCE_MS_MAX } = {},
  } = options;
  const onRetry = options.onRetry ?? (() => undefined);
  const { agent, open } = connections(address);

  const once = async <T>({ answerMs: ms, ...asked }: Asked): Promise<Answer<T>> => {
    try {
      const response = await open(asked, AbortSignal.any([AbortSignal.timeout(ms), ...(ending === undefined ? [] : [ending])]));
      return answerOf<T>(response.statusCode ?? 0, await collect(response), response.headers['retry-after']);
    } catch (cause) {
      return noAnswer(address.url, cause, ending);
    }
  };
  const repeated = async <T>(asked: Asked): Promise<Answer<T>> => {
    for (let tries = 1; ; tries++) {
      const answer = await once<T>(asked);
      if (answer.ok || tries >= TRIES_MAX) return answer;
      if (answer.code !== 'UNREACHABLE' && answer.retryAfterMs === undefined) return answer;
      onRetry(answer.text);
      await pause(Math.max(firstRetryMs * 2 ** (tries - 1), Math.min(answer.retryAfterMs ?? 0, RETRY_MS_MAX)), ending);
    }
  };
  const stream = async (
    path: string,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal | undefined,
  ): Promise<IncomingMessage> => {
    const response = await open({ method: 'GET', path, headers }, signal, silenceMs);
    if (response.statusCode === 200) return response;
    const refused = answerOf<never>(response.statusCode ?? 0, await collect(response));
    throw new StreamRefused(refused.ok ? { ok: false, code: 'ANSWER_MALFORMED', text: 'expected a stream' } : refused);
  };
  const either = (signal: AbortSignal | undefined): AbortSignal | undefined =>
    signal === undefined || ending === undefined ? (signal ?? ending) : AbortSignal.any([signal, ending]);

  return {
    get: (path) => repeated({ method: 'GET', path, answerMs }),
    post: (path, body, contentType) => repeated({ method: 'POST', path, ...jsonBody(body, contentType), answerMs }),
    act: (method, path, body) => once({ method, path, ...(body === undefined ? {} : jsonBody(body)), answerMs: ACTION_MS_MAX }),
    follow: (cursor, signal) => {
      const until = either(signal);
      const openAt = (from: string) => stream('/v1/follow', from === '' ? {} : { 'last-event-id': from }, until);
      return follow({ open: openAt, firstRetryMs, onRetry, signal: until }, cursor);
    },
    lines: async function* (path, signal) {
      yield* lines(await stream(path, {}, either(signal)));
    },
    close: () => agent.destroy(),
  };
}

const jsonBody = (body: unknown, contentType = 'application/json'): Pick<Asked, 'headers' | 'body'> => ({
  body: JSON.stringify(body),
  headers: { 'content-type': contentType },
});

/** The connections to one broker, and a request on one of them. */
function connections({ credentials, ca, serverName, url }: BrokerAddress) {
  const agent = new Agent({
    keepAlive: true,
    maxSockets: 8,
    // Node does not check the certificate again when it resumes a session.
    maxCachedSessions: 0,
    minVersion: 'TLSv1.3',
    ca,
    servername: serverName,
    ...(credentials.kind === 'certificate' ? { cert: credentials.certificate, key: credentials.key } : {}),
  });
  const authorization: Readonly<Record<string, string>> =
    credentials.kind === 'token' ? { authorization: `Bearer ${credentials.token}` } : {};

  const open = (
    { method, path, body, headers }: Omit<Asked, 'answerMs'>,
    signal: AbortSignal | undefined,
    silenceMs?: number,
  ): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
      const outgoing = request(
        new URL(path, url),
        { agent, method, headers: { ...headers, ...length, ...authorization }, ...(signal === undefined ? {} : { signal }) },
        resolve,
      );
      outgoing.on('error', reject);
      outgoing.on('upgrade', (_response, socket) => {
        socket.destroy();
        reject(new Error('the answer is another protocol'));
      });
      if (silenceMs !== undefined)
        outgoing.setTimeout(silenceMs, () => outgoing.destroy(new Error(`silent for ${silenceMs} ms`)));
      outgoing.end(body);
    });
  return { agent, open };
}

async function collect(response: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of response as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > ANSWER_BYTES_MAX) throw new Error(`the answer exceeds ${ANSWER_BYTES_MAX} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}
