import { tenant } from '@carnet/keys';
import { z } from 'zod';
import { NAME_CHARS_MAX, PAGE_DEFAULT, PAGE_MAX } from './limits.ts';

// Shapes of OpenStack's Key Manager API, v1, as Barbican 15 answers them. Words and nulls are theirs.

const consumer = z.strictObject({ service: z.string(), resource_type: z.string(), resource_id: z.string() });

/** What is told of a key. There is no field for a payload, and none for a check value. */
export const secret = z.strictObject({
  secret_ref: z.string(),
  name: z.string(),
  status: z.enum(['ACTIVE', 'PENDING', 'ERROR']),
  secret_type: z.literal('symmetric'),
  algorithm: z.literal('aes'),
  bit_length: z.literal(256),
  mode: z.null(),
  expiration: z.null(),
  creator_id: z.string(),
  created: z.string(),
  updated: z.string(),
  content_types: z.strictObject({ default: z.literal('application/octet-stream') }).optional(),
  /** From microversion 1.1 on. */
  consumers: z.array(consumer).readonly().optional(),
});
export type Secret = z.infer<typeof secret>;

const page = { total: z.int(), next: z.string().optional(), previous: z.string().optional() };
export const secretPage = z.strictObject({ secrets: z.array(secret).readonly(), ...page });
export const consumerPage = z.strictObject({
  consumers: z
    .array(z.strictObject({ ...consumer.shape, status: z.literal('ACTIVE'), created: z.string(), updated: z.string() }))
    .readonly(),
  ...page,
});
export const metadata = z.strictObject({ metadata: z.record(z.string(), z.string()) });

/** Barbican's shape of a refusal; the description begins with Carnet's own code. */
export const fault = z.strictObject({ code: z.int(), title: z.string(), description: z.string() });

const link = z.strictObject({ rel: z.string(), href: z.string(), type: z.string().optional() });
const versionFields = { id: z.literal('v1'), status: z.string(), links: z.array(link).readonly() };
const newVersion = z.strictObject({ ...versionFields, min_version: z.string(), max_version: z.string() });
const oldVersion = z.strictObject({
  ...versionFields,
  'media-types': z.array(z.strictObject({ base: z.string(), type: z.string() })).readonly(),
});
/** As of microversion 1.1, and before. */
export const version = z.strictObject({ version: z.union([newVersion, oldVersion]) });
export const versions = z.strictObject({
  versions: z.union([z.array(newVersion).readonly(), z.strictObject({ values: z.array(oldVersion).readonly() })]),
});

const count = z.string().regex(/^\d{1,9}$/, 'expected a number');
const paging = {
  limit: count.transform((text) => Math.min(Math.max(Number(text), 1), PAGE_MAX)).default(PAGE_DEFAULT),
  offset: count.transform(Number).default(0),
};
export const pageQuery = z.strictObject(paging);
/** Barbican's other filters are refused by name: an answer that ignores a filter would be a wrong one. */
export const secretsQuery = z.strictObject({
  ...paging,
  name: z.string().max(NAME_CHARS_MAX).optional(),
  alg: z.string().max(NAME_CHARS_MAX).optional(),
  mode: z.string().max(NAME_CHARS_MAX).optional(),
  bits: count.transform(Number).optional(),
  secret_type: z.string().max(NAME_CHARS_MAX).optional(),
});
export type SecretsQuery = z.infer<typeof secretsQuery>;

export const secretParams = z.strictObject({ secret: z.string().max(64) });
/** What `X-Project-Id` may say. */
export const projectHeader = tenant;
