import { readFileSync } from 'node:fs';
import { parse } from 'smol-toml';
import { z } from 'zod';

export type ConfigCode = 'CONFIG_UNREADABLE' | 'CONFIG_SYNTAX' | 'CONFIG_INVALID';

/** Every fault of a configuration at once, one line each: `path: what is wrong`. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly code: ConfigCode;
  readonly faults: readonly string[];
  constructor(code: ConfigCode, file: string, faults: readonly string[]) {
    super(`${file}: ${faults.length} fault${faults.length === 1 ? '' : 's'}\n${faults.map((fault) => `  ${fault}`).join('\n')}`);
    this.code = code;
    this.faults = faults;
  }
}

/** `CARNET_BUS_URL=…` overrides `bus.url`, `CARNET_LOG_LEVEL` overrides `log.level`; a double underscore stands for a dash-less word break. */
export const ENVIRONMENT_PREFIX = 'CARNET_';

type Table = { [key: string]: unknown };
const isTable = (value: unknown): value is Table => typeof value === 'object' && value !== null && !Array.isArray(value);
const lettersOnly = (name: string): string => name.replaceAll('_', '').toLowerCase();

/** Finds the camelCase key of `shape` that an upper-case environment segment means. */
const keyFor = (segment: string, keys: readonly string[]): string | undefined =>
  keys.find((key) => key.toLowerCase() === lettersOnly(segment));

const unwrap = (schema: z.ZodType): z.ZodType => {
  if (
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodReadonly ||
    schema instanceof z.ZodNullable
  )
    return unwrap(schema.unwrap() as z.ZodType);
  return schema;
};

const shapeOf = (schema: z.ZodType): Record<string, z.ZodType> | undefined => {
  const inner = unwrap(schema);
  return inner instanceof z.ZodObject ? (inner.shape as Record<string, z.ZodType>) : undefined;
};

/** Text from the environment as the type the schema wants: numbers and booleans only where it asks for them. */
const coerce = (schema: z.ZodType, value: string): unknown => {
  const inner = unwrap(schema);
  if (inner instanceof z.ZodNumber && /^-?\d+$/.test(value)) return Number(value);
  if (inner instanceof z.ZodBoolean && (value === 'true' || value === 'false')) return value === 'true';
  return value;
};

/** Sets one variable into the table; false when it names no key of the schema. */
const override = (table: Table, schema: z.ZodType, segments: readonly string[], value: string): boolean => {
  const shape = shapeOf(schema);
  if (shape === undefined) return false;
  for (let taken = segments.length; taken > 0; taken--) {
    const key = keyFor(segments.slice(0, taken).join('_'), Object.keys(shape));
    const inner = key === undefined ? undefined : shape[key];
    if (key === undefined || inner === undefined) continue;
    const rest = segments.slice(taken);
    if (rest.length === 0) {
      table[key] = coerce(inner, value);
      return true;
    }
    const child = isTable(table[key]) ? table[key] : {};
    if (override(child, inner, rest, value)) {
      table[key] = child;
      return true;
    }
  }
  return false;
};

/** Variables that belong to Carnet but not to this file: read elsewhere, so they are no typing mistake here. */
const FOREIGN_VARIABLES = new Set(['CARNET_DATABASE_URL', 'CARNET_CONFIG', 'CARNET_CONTEXT']);

/**
 * Reads a TOML configuration, applies `CARNET_*` overrides, validates strictly (unknown keys are refused) and reports all
 * faults at once. Secrets never stand in it, only paths to them.
 * @throws ConfigError
 */
export function loadConfig<S extends z.ZodType>(
  file: string,
  schema: S,
  environment: Readonly<Record<string, string | undefined>> = {},
): z.infer<S> {
  let source: string;
  try {
    source = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new ConfigError('CONFIG_UNREADABLE', file, [
      `cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`,
    ]);
  }
  let table: Table;
  try {
    table = parse(source) as Table;
  } catch (cause) {
    throw new ConfigError('CONFIG_SYNTAX', file, [cause instanceof Error ? cause.message : String(cause)]);
  }
  const faults: string[] = [];
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith(ENVIRONMENT_PREFIX) || value === undefined || FOREIGN_VARIABLES.has(name)) continue;
    if (!override(table, schema, name.slice(ENVIRONMENT_PREFIX.length).split('_'), value))
      faults.push(`${name}: names no setting`);
  }
  const result = schema.safeParse(table);
  if (!result.success) faults.push(...result.error.issues.map((issue) => `${issue.path.join('.') || '(top)'}: ${issue.message}`));
  if (faults.length > 0 || !result.success) throw new ConfigError('CONFIG_INVALID', file, faults);
  return result.data;
}
