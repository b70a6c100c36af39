import { randomBytes } from 'node:crypto';
import type { Operation } from '../child/operation.ts';
import type { KeyProcess } from '../child/pool.ts';

/** The operations in this process, through the same schemas and JSON: for tables of attacks, where a child for each row would take minutes. */
export function inlineProcess(): KeyProcess {
  const serve = async <I, O>(operation: Operation<I, O>, input: I, secret: Uint8Array) => {
    const served = await operation.serve(JSON.parse(JSON.stringify(input)), Buffer.from(secret), randomBytes);
    if (!served.result.ok) return { result: served.result, secret: served.secret };
    return { result: { ok: true as const, value: operation.output.parse(served.result.value) }, secret: served.secret };
  };
  return {
    call: async (operation, input, secret) => (await serve(operation, input, secret)).result,
    open: async (operation, input, secret) => {
      const served = await serve(operation, input, secret);
      return served.result.ok ? { ok: true, value: served.secret ?? Buffer.alloc(0) } : served.result;
    },
    close: () => undefined,
  };
}
