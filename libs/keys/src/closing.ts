import type { Result } from './result.ts';

/** A start that fails is tried again, for as long as it takes: each one left open would be a root key in memory, and a child. */
export async function closingOnFailure<T>(close: () => void, work: () => Promise<Result<T>>): Promise<Result<T>> {
  let isOpen = false;
  try {
    const result = await work();
    isOpen = result.ok;
    return result;
  } finally {
    if (!isOpen) close();
  }
}
