import { digest, migrationId } from '@carnet/events';
import { z } from 'zod';
import { QUERY_CHARS_MAX } from './limits.ts';

/** What a browser may read of the broker: each path with what its parameter and its query must look like. Nothing else is relayed. */
interface Readable {
  readonly path: string;
  readonly parameter?: z.ZodType<string>;
  /** What stands behind the parameter. */
  readonly rest?: string;
  readonly query?: z.ZodType;
}

const limit = z
  .string()
  .regex(/^[1-9]\d{0,3}$/)
  .optional();
const READABLE: readonly Readable[] = [
  { path: '/migrations', query: z.strictObject({ open: z.enum(['true', 'false']).optional(), limit }) },
  { path: '/migrations/', parameter: migrationId, rest: '/diagnosis' },
  { path: '/migrations/', parameter: migrationId },
  { path: '/events', query: z.strictObject({ migration: migrationId, limit }) },
  { path: '/events/', parameter: digest },
  { path: '/keys' },
  { path: '/keys/', parameter: z.uuid() },
  { path: '/peers' },
  { path: '/hosts' },
];

/** The broker's path for a path below `/api`, or `undefined` when it is not one that may be read. */
export function upstreamOf(path: string, query: URLSearchParams): string | undefined {
  const rule = READABLE.find((r) =>
    r.parameter === undefined ? r.path === path : path.startsWith(r.path) && path.endsWith(r.rest ?? ''),
  );
  if (rule === undefined) return undefined;
  // The schemas admit no `/`, `%` or dot: what passes needs no escaping and cannot climb.
  const parameter = path.slice(rule.path.length, path.length - (rule.rest ?? '').length);
  if (rule.parameter !== undefined && !rule.parameter.safeParse(parameter).success) return undefined;
  const asked = Object.fromEntries(query);
  const known = rule.query ?? z.strictObject({});
  if (!known.safeParse(asked).success || query.toString().length > QUERY_CHARS_MAX) return undefined;
  const text = new URLSearchParams(asked).toString();
  return `/v1${path}${text === '' ? '' : `?${text}`}`;
}

/** HTTP status of a broker's refusal as browsers get it. */
export function statusOf(code: string): number {
  if (code === 'UNREACHABLE') return 502;
  if (code === 'ROLE_MISSING') return 403;
  if (code.endsWith('_UNKNOWN')) return 404;
  return code === 'INTERNAL' ? 500 : 409;
}
