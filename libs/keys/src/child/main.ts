/**
 * The only process that sees keys in the clear. It reads requests from its standard input, answers on its standard output, and ends with
 * its input. It writes no log and knows no database. It opens no socket but to a Barbican, and no file but through the library of a token,
 * where one is configured.
 */
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { KeysError } from '../result.ts';
import { refuse } from '../vault/refusal.ts';
import { encodeFrame, type Frame, readFrames } from './frames.ts';
import type { Served } from './operation.ts';
import { OPERATIONS } from './operations.ts';

const request = z.strictObject({ operation: z.string(), input: z.unknown() });

/** `randomBytes` of a small size takes from no pool: each buffer can be zeroed alone. */
const random = (bytes: number): Uint8Array => randomBytes(bytes);

async function serve(frame: Frame): Promise<Served> {
  const parsed = request.safeParse(frame.header);
  const operation = parsed.success ? OPERATIONS.get(parsed.data.operation) : undefined;
  if (!parsed.success || operation === undefined) return { result: refuse('CHILD_PROTOCOL') };
  try {
    return await operation.serve(parsed.data.input, frame.secret, random);
  } catch (error) {
    // An error's text could quote what it failed on: only the code leaves.
    return { result: refuse(error instanceof KeysError ? error.code : 'CHILD_FAILED') };
  } finally {
    frame.secret.fill(0);
  }
}

const written = (bytes: Buffer): Promise<void> => new Promise((resolve) => process.stdout.write(bytes, () => resolve()));

for await (const frame of readFrames(process.stdin)) {
  const { result, secret = Buffer.alloc(0) } = await serve(frame);
  const reply = encodeFrame(result, secret);
  await written(reply);
  reply.fill(0);
  secret.fill(0);
}
