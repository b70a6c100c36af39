import { z } from 'zod';
import { CODES } from '../codes.ts';
import { BATCH_MAX, OPERATION_MS_MAX, QUEUE_MAX } from '../limits.ts';
import { type KeyCode, KeysError } from '../result.ts';
import type { VaultResult } from '../vault/refusal.ts';
import { encodeFrame, type Frame, readFrames } from './frames.ts';
import type { Operation } from './operation.ts';
import { type KeyChild, rest, spawnChild, wake } from './spawn.ts';

/** Runs operations on keys, each in a child process that serves once. Accidents throw {@link KeysError}, refusals are values. */
export type KeyProcess = {
  readonly call: <I, O>(operation: Operation<I, O>, input: I, secret: Uint8Array) => Promise<VaultResult<O>>;
  /** As `call`, for the operation that opens a secret; the caller zeroes it. */
  readonly open: <I>(operation: Operation<I, null>, input: I, secret: Uint8Array) => Promise<VaultResult<Buffer>>;
  readonly close: () => void;
};

type Waiting = { readonly frame: Buffer; readonly resolve: (reply: Frame) => void; readonly reject: (error: KeysError) => void };

const CODE_LIST = new Set<string>(Object.keys(CODES));
const keyCode = z.custom<KeyCode>((value) => typeof value === 'string' && CODE_LIST.has(value));
const reply = z.discriminatedUnion('ok', [
  z.strictObject({ ok: z.literal(true), value: z.unknown() }),
  z.strictObject({ ok: z.literal(false), code: keyCode, key: z.string().optional() }),
]);

/** One idle child is kept ready (a start takes 150 ms), and one at a time works: keys are held in the clear by one process at most. */
export function startKeyProcess(spawnOne: () => KeyChild = spawnChild, timeoutMs: number = OPERATION_MS_MAX): KeyProcess {
  const queue: Waiting[] = [];
  let idle: KeyChild | undefined;
  let working: KeyChild | undefined;
  let closed = false;

  const prepare = (): void => {
    const child = spawnOne();
    child.once('exit', () => {
      if (idle === child) idle = undefined;
    });
    rest(child);
    idle = child;
  };

  const dispatch = (): void => {
    if (working !== undefined || queue.length === 0 || closed) return;
    if (idle === undefined) prepare();
    const child = idle;
    if (child === undefined) return;
    idle = undefined;
    working = child;
    wake(child);
    const batch = queue.splice(0, BATCH_MAX);
    void serveBatch(child, batch, timeoutMs).finally(() => {
      working = undefined;
      if (queue.length > 0) dispatch();
      else if (!closed && idle === undefined) prepare();
    });
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
      for (const child of [idle, working]) child?.kill('SIGKILL');
      for (const waiting of queue.splice(0)) {
        waiting.frame.fill(0);
        waiting.reject(new KeysError('CLOSED', 'the key process was closed', { retryable: false }));
      }
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

/** Writes all requests, closes the child's input, and hands out the answers in order. Whatever is left when the child ends has failed. */
async function serveBatch(child: KeyChild, batch: readonly Waiting[], timeoutMs: number): Promise<void> {
  const left = [...batch];
  const failure: { code: 'CHILD_FAILED' | 'CHILD_TIMEOUT' | 'CHILD_PROTOCOL' } = { code: 'CHILD_FAILED' };
  const timer = setTimeout(() => {
    failure.code = 'CHILD_TIMEOUT';
    child.kill('SIGKILL');
  }, timeoutMs);
  try {
    for (const { frame } of batch) {
      child.stdin.write(frame, () => frame.fill(0));
    }
    child.stdin.end();
    for await (const frame of readFrames(child.stdout)) left.shift()?.resolve(frame);
  } catch (error) {
    if (error instanceof KeysError && !error.retryable) failure.code = 'CHILD_PROTOCOL';
  } finally {
    clearTimeout(timer);
    child.kill('SIGKILL');
    const { code } = failure;
    for (const waiting of left) waiting.reject(new KeysError(code, CODES[code].text, { retryable: code !== 'CHILD_PROTOCOL' }));
    for (const { frame } of batch) frame.fill(0);
  }
}
