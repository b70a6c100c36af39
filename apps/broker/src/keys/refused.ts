import type { Result } from '@carnet/keys';

/** A refusal of the key manager where a value is needed to go on: it ends the attempt, not the process. */
export class KeyRefused extends Error {
  override readonly name = 'KeyRefused';
  readonly code: string;
  constructor(code: string, text: string) {
    super(text);
    this.code = code;
  }
}

export function granted<T>(result: Result<T>): T {
  if (result.ok) return result.value;
  throw new KeyRefused(result.code, result.text);
}
