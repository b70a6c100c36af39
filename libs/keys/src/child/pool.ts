import { z } from 'zod';
import { CODES } from '../codes.ts';
import { OPERATION_MS_MAX, QUEUE_MAX } from '../limits.ts';
import { type KeyCode, KeysError } from '../result.ts';
import type { VaultResult } from '../vault/refusal.ts';
import { encodeFrame, type Frame } from './frames.ts';
import type { Operation } from './operation.ts';
import { SESSION_TIMES, type Session, type SessionTimes, startSession, type Waiting } from './session.ts';
import { type KeyChild, rest, spawnChild, wake } from './spawn.ts';

/** Runs operations on keys, in child processes that live for moments. Accidents throw {@link KeysError}, refusals are values. */
export type KeyProcess = {
  readonly call: <I, O>(operation: Operation<I, O>, input: I, secret: Uint8Array) => Promise<VaultResult<O>>;
  /** As `call`, for the operation that opens a secret; the caller zeroes it. */
  readonly open: <I>(operation: Operation<I, null>, input: I, secret: Uint8Array) => Promise<VaultResult<Buffer>>;
  readonly close: () => void;
};

const CODE_LIST = new Set<string>(Object.keys(CODES));
const keyCode = z.custom<KeyCode>((value) => typeof value === 'string' && CODE_LIST.has(value));
const reply = z.discriminatedUnion('ok', [
  z.strictObject({ ok: z.literal(true), value: z.unknown() }),
  z.strictObject({ ok: z.literal(false), code: keyCode, key: z.string().optional() }),
]);

/** One spare child is kept ready (a start takes 150 ms), and one at a time works: keys are held in the clear by one process at most. */
export function startKeyProcess(spawnOne: () => KeyChild = spawnChild, times: Partial<SessionTimes> = {}): KeyProcess {
  const queue: Waiting[] = [];
  let spare: KeyChild | undefined;
  let working: { readonly child: KeyChild; readonly session: Session } | undefined;
  let closed = false;

  const prepare = (): KeyChild => {
    const child = spawnOne();
    child.once('exit', () => {
      if (spare === child) spare = undefined;
    });
    rest(child);
    return child;
  };

  const prepareSpare = (): KeyChild | undefined => {
    try {
      return prepare();
    } catch {
      // This machine has no room for another process now. The next session says so, if it is still so.
      return undefined;
    }
  };

  /** @throws what starting a process throws */
  const begin = (): Session => {
    const child = spare ?? prepare();
    // Ready when this one's time is over.
    spare = prepareSpare();
    wake(child);
    const session = startSession(child, { timeoutMs: OPERATION_MS_MAX, ...SESSION_TIMES, ...times }, dispatch);
    working = { child, session };
    void session.ended.then(() => {
      working = undefined;
      dispatch();
    });
    return session;
  };

  const refuseAll = (why: KeysError): void => {
    for (const waiting of queue.splice(0)) {
      waiting.frame.fill(0);
      waiting.reject(why);
    }
  };

  const dispatch = (): void => {
    if (queue.length === 0 || closed) return;
    let session: Session;
    try {
      session = working?.session ?? begin();
    } catch (cause) {
      refuseAll(new KeysError('CHILD_FAILED', 'no key process can be started', { retryable: true, cause }));
      return;
    }
    for (const waiting of queue.splice(0, session.places())) session.take(waiting);
  };

  const send = (name: string, input: unknown, secret: Uint8Array): Promise<Frame> =>
    new Promise((resolve, reject) => {
      if (closed) return reject(new KeysError('CLOSED', 'the key process is closed', { retryable: false }));
      if (queue.length >= QUEUE_MAX)
        return reject(new KeysError('CHILD_BUSY', `${QUEUE_MAX} operations wait`, { retryable: true }));
      queue.push({ frame: encodeFrame({ operation: name, input }, secret), resolve, reject });
      // The next turn: requests made together travel to one child together.
      setImmediate(dispatch);
      return undefined;
    });

  return {
    async call(operation, input, secret) {
      const frame = await send(operation.name, input, secret);
      return resultOf(frame, operation.output);
    },
    async open(operation, input, secret) {
      const frame = await send(operation.name, input, secret);
      const result = resultOf(frame, operation.output);
      return result.ok ? { ok: true, value: frame.secret } : result;
    },
    close() {
      closed = true;
      for (const child of [spare, working?.child]) child?.kill('SIGKILL');
      refuseAll(new KeysError('CLOSED', 'the key process was closed', { retryable: false }));
    },
  };
}

function resultOf<O>(frame: Frame, output: z.ZodType<O>): VaultResult<O> {
  const parsed = reply.safeParse(frame.header);
  if (!parsed.success) throw new KeysError('CHILD_PROTOCOL', 'an answer of the key process is malformed', { retryable: false });
  if (!parsed.data.ok) {
    const { code, key } = parsed.data;
    // Accidents of the child, as opposed to refusals by rule.
    if (code === 'CHILD_FAILED' || code === 'CHILD_PROTOCOL' || code === 'KEY_ZEROED')
      throw new KeysError(code, CODES[code].text, { retryable: code === 'CHILD_FAILED' });
    return { ok: false, code, ...(key === undefined ? {} : { key }) };
  }
  const value = output.safeParse(parsed.data.value);
  if (!value.success) throw new KeysError('CHILD_PROTOCOL', 'an answer of the key process is malformed', { retryable: false });
  return { ok: true, value: value.data };
}
