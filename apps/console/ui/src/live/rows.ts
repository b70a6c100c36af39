import { z } from 'zod';

/**
 * What the broker answers, as far as these pages use it. Not strict: a newer broker may say more. Texts are shown as text,
 * never as markup.
 */
export const reason = z.object({ code: z.string(), text: z.string() });

const migrationFields = {
  migration: z.string(),
  vm: z.string(),
  epoch: z.number(),
  source: z.string(),
  target: z.string(),
  mode: z.string(),
  phase: z.string(),
  sourcePhase: z.string(),
  targetPhase: z.string(),
  ended: z.boolean(),
  outcome: z.enum(['open', 'done', 'rolled-back', 'refused', 'withdrawn']),
  startedAt: z.string(),
  updatedAt: z.string(),
  reasons: z.array(reason),
};
export const migrationRow = z.object(migrationFields);
export type MigrationRow = z.infer<typeof migrationRow>;

export const progress = z.object({ step: z.string(), doneBytes: z.number(), totalBytes: z.number(), bytesPerSecond: z.number() });
export type Progress = z.infer<typeof progress>;

export const migrationDetail = z.object({
  ...migrationFields,
  owed: z.array(z.object({ command: z.string(), attempt: z.number().optional() })),
  custody: z.array(z.object({ at: z.string(), domains: z.array(z.string()) })),
  progress: progress.optional(),
  lastFailure: z.object({ command: z.string(), code: z.string(), text: z.string(), at: z.string() }).optional(),
});
export type MigrationDetail = z.infer<typeof migrationDetail>;

/** What `carnet migration doctor` says, too. */
export const diagnosis = z.object({
  standing: z.string(),
  meaning: z.string(),
  exposedSince: z.string().optional(),
  turns: z.array(z.object({ domain: z.string(), must: z.array(z.string()), givesUpAt: z.string().optional() })),
  findings: z.array(reason),
  safe: z.array(z.string()),
  unsafe: z.array(z.string()),
});
export type Diagnosis = z.infer<typeof diagnosis>;

export const ledgerEntry = z.object({
  digest: z.string(),
  publisher: z.string(),
  audience: z.string(),
  seq: z.string(),
  type: z.string(),
  time: z.string(),
  migration: z.string().optional(),
  voidCode: z.string().optional(),
  state: z.enum(['pending', 'published', 'acknowledged', 'received']),
  envelope: z.string(),
});
export type LedgerEntry = z.infer<typeof ledgerEntry>;

const keyFields = {
  key: z.string(),
  version: z.number(),
  arrival: z.number(),
  project: z.string(),
  kind: z.string(),
  state: z.string(),
  origin: z.string(),
  artifact: z.string(),
  consumers: z.array(z.string()),
  createdAt: z.string(),
  provenance: z.array(z.string()),
};
export const keyRow = z.object(keyFields);
export type KeyRow = z.infer<typeof keyRow>;

export const keyDetail = z.object({
  ...keyFields,
  history: z.array(z.object({ arrival: z.number(), state: z.string(), at: z.string(), actor: z.string(), reason: z.string() })),
  holdings: z.array(
    z.object({ arrival: z.number(), state: z.string(), origin: z.string(), createdAt: z.string(), changedAt: z.string() }),
  ),
});

export const peerRow = z.object({
  domain: z.string(),
  state: z.enum(['ready', 'silent', 'frozen', 'quarantined', 'unconfirmed']),
  ownSeq: z.number(),
  acknowledgedSeq: z.number(),
  receivedSeq: z.number(),
  lastHeardAt: z.string().optional(),
  fingerprint: z.string().optional(),
});
export type PeerRow = z.infer<typeof peerRow>;

export const hostRow = z.object({
  name: z.string(),
  state: z.enum(['up', 'down']),
  lastHeardAt: z.string().optional(),
  vms: z.number(),
  memoryMiB: z.number(),
  freeDiskBytes: z.number(),
  libvirtVersion: z.string().optional(),
});
export type HostRow = z.infer<typeof hostRow>;

export const feedHealth = z.object({
  state: z.enum(['live', 'stale']),
  since: z.string(),
  heardAt: z.string().optional(),
  text: z.string().optional(),
});
export type FeedHealth = z.infer<typeof feedHealth>;
export const consoleInfo = z.object({ domain: z.string(), feed: feedHealth });

export const rows = <T extends z.ZodType>(items: T) => z.object({ items: z.array(items) });
