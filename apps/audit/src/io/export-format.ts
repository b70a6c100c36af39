import { chainedLine } from '@carnet/keys';
import { z } from 'zod';

/** A line of the history of one of the CSP's own keys; these come after the ledgers. */
export const keyHistoryLine = z.strictObject({ keyHistory: chainedLine });

/** `undefined`: no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // what is no JSON matches no schema: the caller names the line
  }
}
