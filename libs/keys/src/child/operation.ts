import type { z } from 'zod';
import { openCustody } from '../backends/open-custody.ts';
import type { Random } from '../bytes.ts';
import type { Custody } from '../vault/custody.ts';
import { refuse, type VaultRefusal, type VaultResult } from '../vault/refusal.ts';

/** What the child answers: a value for everyone to see, or a refusal; a secret only where the operation is to open one. */
export type Served = { readonly result: { readonly ok: true; readonly value: unknown } | VaultRefusal; readonly secret?: Buffer };

/** One thing the child can do. Its caller and the child share this object, so that both sides of the pipe have one type. */
export type Operation<I, O> = {
  readonly name: string;
  readonly input: z.ZodType<I>;
  readonly output: z.ZodType<O>;
  readonly serve: (input: unknown, secret: Buffer, random: Random) => Promise<Served>;
};

type Run<I, R> = (secret: Buffer, input: I, random: Random) => R | Promise<R>;

const serveWith =
  <I, R>(schema: z.ZodType<I>, run: Run<I, R>, answer: (result: R) => Served) =>
  async (input: unknown, secret: Buffer, random: Random): Promise<Served> => {
    const parsed = schema.safeParse(input);
    if (!parsed.success) return { result: refuse('CHILD_PROTOCOL') };
    return answer(await run(secret, parsed.data, random));
  };

/** An operation on keys. Its secret is what opens them: an encoded custody. Its answer holds wrapped and public bytes only. */
export const keyOperation = <I, O>(
  name: string,
  input: z.ZodType<I>,
  output: z.ZodType<O>,
  run: (custody: Custody, input: I, random: Random) => VaultResult<O> | Promise<VaultResult<O>>,
): Operation<I, O> =>
  operation(name, input, output, async (secret, given, random) => {
    const custody = await openCustody(secret);
    return custody.ok ? run(custody.value, given, random) : custody;
  });

/** An operation under another secret, such as a passphrase, whose answer holds sealed and public bytes only. */
export const operation = <I, O>(
  name: string,
  input: z.ZodType<I>,
  output: z.ZodType<O>,
  run: Run<I, VaultResult<O>>,
): Operation<I, O> => ({ name, input, output, serve: serveWith(input, run, (result) => ({ result })) });

/** An operation that gives a secret back through the pipe: opening the root. */
export const openingOperation = <I>(
  name: string,
  input: z.ZodType<I>,
  output: z.ZodType<null>,
  run: Run<I, VaultResult<Buffer>>,
): Operation<I, null> => ({
  name,
  input,
  output,
  serve: serveWith(input, run, (result) =>
    result.ok ? { result: { ok: true, value: null }, secret: result.value } : { result: result },
  ),
});
