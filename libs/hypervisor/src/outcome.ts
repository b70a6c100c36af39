import type { Setback } from './codes.ts';

/** Success, or a setback as a value: what a host may expect to happen. Accidents deep inside effects are thrown as `HostError`. */
export type Outcome<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly setback: Setback };

export const done = <T>(value: T): Outcome<T> => ({ ok: true, value });
export const setBack = (setback: Setback): Outcome<never> => ({ ok: false, setback });
