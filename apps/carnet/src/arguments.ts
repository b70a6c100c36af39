import { EXIT, VerbError } from './exit.ts';

const invalid = (text: string): VerbError => new VerbError(EXIT.usage, 'ARGUMENT_INVALID', text);

/** A whole number above 0. */
export function count(text: string): number {
  const value = Number(text);
  if (/^[0-9]+$/.test(text) && Number.isSafeInteger(value) && value > 0) return value;
  throw invalid(`expected a whole number above 0, got ${text}`);
}

const SECOND_MS = 1_000;

/** Seconds above 0, as milliseconds. */
export function seconds(text: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value > 0) return value * SECOND_MS;
  throw invalid(`expected seconds above 0, got ${text}`);
}

/** `<home domain>/<uuid>` as two segments of a path: nothing else may choose where a request goes. */
export function vmPath(vm: string): string {
  const [home, uuid, ...rest] = vm.split('/');
  if (home === undefined || uuid === undefined || rest.length > 0 || home === '' || uuid === '')
    throw invalid(`expected <home domain>/<uuid>, got ${vm}`);
  return `/v1/vms/${encodeURIComponent(home)}/${encodeURIComponent(uuid)}`;
}
