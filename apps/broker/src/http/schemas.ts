import {
  BREAK_GLASS_PERSONS_MAX,
  BREAK_GLASS_PERSONS_MIN,
  base64,
  breakGlassPerson,
  CERTIFICATE_BASE64_MAX,
  digest,
  dsseEnvelope,
  event,
  intentRequest,
  MEMORY_MIB_MAX,
  migrationId,
  reason,
  seq,
  TEXT_CHARS_MAX,
  trustDomain,
  VCPUS_MAX,
  vmBoot,
  vmId,
  vmRestrictions,
  vmSpec,
} from '@carnet/events';
import { vmState } from '@carnet/hypervisor';
import { tenant } from '@carnet/keys';
import { role } from '@carnet/policy';
import { z } from 'zod';
import { CURSOR_CHARS_MAX, ROWS_DEFAULT, ROWS_MAX } from './limits.ts';
import { receipt, rekey } from './schemas-custody.ts';

/** CloudEvents 1.0 (JSON, structured mode). `source` and `id` are the publisher's; idempotency is `data.migration`. */
const cloudEvent = <const T extends string, D extends z.ZodType>(type: T, data: D) =>
  z.strictObject({
    specversion: z.literal('1.0'),
    id: z.string().min(1).max(128),
    source: z.string().min(1).max(400),
    type: z.literal(type),
    time: z.string().max(40).optional(),
    subject: z.string().max(300).optional(),
    datacontenttype: z.literal('application/json').optional(),
    data,
  });

export const INTENT_TYPE = 'dev.carnet.migration.intent.v1';
export const SIGNED_INTENT_TYPE = 'dev.carnet.migration.signed-intent.v1';

/** What a scheduler posts: a plain request (vouched for by its TLS certificate or token), or one that it signed itself. */
export const plainIntentEvent = cloudEvent(INTENT_TYPE, intentRequest);
export const intentEvent = z.discriminatedUnion('type', [
  plainIntentEvent,
  cloudEvent(SIGNED_INTENT_TYPE, z.strictObject({ envelope: dsseEnvelope, certificate: base64.max(CERTIFICATE_BASE64_MAX) })),
]);

export const rows = <T extends z.ZodType>(items: T) => z.strictObject({ items: z.array(items).readonly() });

export const intentAccepted = z.strictObject({ migration: z.string(), digest: z.string(), repeated: z.boolean() });
export const problem = z.strictObject({ code: z.string(), text: z.string(), reasons: z.array(reason).readonly().optional() });

const migrationFields = {
  migration: z.string(),
  vm: z.string(),
  epoch: z.int(),
  source: z.string(),
  target: z.string(),
  mode: z.string(),
  memoryMiB: z.int(),
  diskBytes: z.int(),
  phase: z.string(),
  sourcePhase: z.string(),
  targetPhase: z.string(),
  ended: z.boolean(),
  outcome: z.enum(['open', 'done', 'rolled-back', 'refused', 'withdrawn']),
  startedAt: z.string(),
  updatedAt: z.string(),
  reasons: z.array(reason).readonly(),
};
export const migrationRow = z.strictObject(migrationFields);
export const migrationRows = rows(migrationRow);
export const migrationDetail = z.strictObject({
  ...migrationFields,
  rekey,
  receipts: z.array(receipt).readonly(),
  owed: z.array(z.strictObject({ command: z.string(), attempt: z.int().optional() })).readonly(),
  custody: z.array(z.strictObject({ at: z.string(), domains: z.array(z.string()).readonly() })).readonly(),
  progress: z
    .strictObject({ step: z.string(), doneBytes: z.number(), totalBytes: z.number(), bytesPerSecond: z.number() })
    .optional(),
  transferredBytes: z.number().optional(),
  lastFailure: z.strictObject({ command: z.string(), code: z.string(), text: z.string(), at: z.string() }).optional(),
});

export const diagnosis = z.strictObject({
  migration: z.string(),
  vm: z.string(),
  phase: z.string(),
  standing: z.enum(['at-source', 'stopped', 'in-doubt', 'returning', 'at-target', 'split', 'stayed', 'moved']),
  meaning: z.string(),
  since: z.string().optional(),
  exposedSince: z.string().optional(),
  turns: z
    .array(z.strictObject({ domain: z.string(), must: z.array(z.string()).readonly(), givesUpAt: z.string().optional() }))
    .readonly(),
  findings: z.array(reason).readonly(),
  safe: z.array(z.string()).readonly(),
  unsafe: z.array(z.string()).readonly(),
});
export const alarms = rows(
  z.strictObject({
    migration: z.string(),
    vm: z.string(),
    phase: z.string(),
    code: z.enum(['IN_DOUBT', 'OVERDUE', 'SPLIT_SUSPECTED', 'BOTH_RAN']),
    text: z.string(),
    since: z.string(),
    seconds: z.int(),
  }),
);

export const ledgerEntry = z.strictObject({
  cursor: z.string(),
  digest: z.string(),
  publisher: z.string(),
  audience: z.string(),
  seq: z.string(),
  type: z.string(),
  time: z.string(),
  migration: z.string().optional(),
  epoch: z.int().optional(),
  voidCode: z.string().optional(),
  state: z.enum(['pending', 'published', 'acknowledged', 'received']),
  event: event.optional(),
  envelope: z.string(),
});
export const ledgerEntries = rows(ledgerEntry);

/** libvirt's words; `unknown` while the host was not heard. */
const shownState = z.enum([...vmState.exclude(['absent']).options, 'unknown']);

export const plan = z.strictObject({
  vm: z.string(),
  source: z.string(),
  target: z.string(),
  mode: z.string(),
  epoch: z.int(),
  policy: z.strictObject({
    source: z.strictObject({ allowed: z.boolean(), reasons: z.array(reason).readonly() }),
    target: z.literal('asked when the migration starts'),
  }),
  bytes: z.number(),
  stopSeconds: z.number(),
  basis: z.strictObject({
    state: shownState,
    diskBytes: z.number(),
    diskBytesFrom: z.enum(['host', 'capacity']),
    memoryBytes: z.number(),
    rate: z.strictObject({
      basis: z.enum(['measured', 'assumed']),
      bytesPerSecond: z.number(),
      aroundSeconds: z.number(),
      moves: z.int(),
      largestBytes: z.number(),
    }),
  }),
  warnings: z.array(reason).readonly(),
  steps: z.array(z.strictObject({ side: z.enum(['source', 'target']), step: z.string(), undo: z.string() })).readonly(),
});

export const peerParams = z.strictObject({ peer: trustDomain });
export const ownKeyParams = z.strictObject({ peer: trustDomain, key: digest });
/** `lastSeq`: the last position in our ledger to that peer that this CSP vouches for. */
export const keyEnding = z.strictObject({ lastSeq: seq, text: z.string().min(1).max(TEXT_CHARS_MAX) });
export const keyEnded = z.strictObject({ key: digest });

export const peerRows = rows(
  z.strictObject({
    domain: z.string(),
    state: z.enum(['ready', 'silent', 'frozen', 'quarantined', 'unconfirmed']),
    origin: z.enum(['configuration', 'invitation', 'former']),
    issuer: z.string().optional(),
    ownSeq: z.int(),
    acknowledgedSeq: z.int(),
    receivedSeq: z.int(),
    lastHeardAt: z.string().optional(),
    fingerprint: z.string().optional(),
    certificate: z.string().optional(),
  }),
);
export const checkpointRows = rows(
  z.strictObject({ publisher: z.string(), audience: z.string(), size: z.int(), note: z.string() }),
);
export const hostRows = rows(
  z.strictObject({
    name: z.string(),
    state: z.enum(['up', 'down']),
    lastHeardAt: z.string().optional(),
    vms: z.int(),
    memoryMiB: z.int(),
    freeDiskBytes: z.number(),
    libvirtVersion: z.string().optional(),
  }),
);
export const imageRow = z.strictObject({
  name: z.string(),
  digest: z.string(),
  sizeBytes: z.number(),
  capacityBytes: z.number(),
  createdAt: z.string(),
});
export const imageRows = rows(imageRow);
export const imageName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,62}$/, 'expected an image name of a-z, 0-9, dot, dash, underscore');
export const imageRegistration = z.strictObject({
  name: imageName,
  /** A file name inside the host's import directory: no path, so that nobody can ask for a host file. */
  file: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$/, 'expected a file name in the import folder, no path'),
});
export const imageVerdict = z.strictObject({ name: z.string(), digest: z.string(), verified: z.boolean() });

export const vmRow = z.strictObject({
  vm: z.string(),
  name: z.string(),
  host: z.string(),
  state: shownState,
  epoch: z.int(),
  spec: vmSpec,
});
export const vmRows = rows(vmRow);
export const vmCreation = z
  .strictObject({
    name: z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'expected a name of a-z, 0-9 and dash'),
    project: vmRestrictions.unwrap().shape.project.optional(),
    image: imageName.optional(),
    capacityBytes: z.int().min(1_048_576).optional(),
    vcpus: z.int().min(1).max(VCPUS_MAX).default(1),
    memoryMiB: z.int().min(16).max(MEMORY_MIB_MAX),
    boot: vmBoot,
    start: z.boolean().default(true),
    vtpm: z.boolean().default(false),
  })
  .refine(
    (request) => request.image !== undefined || request.capacityBytes !== undefined,
    'either an image or capacityBytes is needed',
  );
const apiKeyFields = {
  id: z.string(),
  name: z.string(),
  principal: z.string(),
  roles: z.array(role).readonly(),
  project: tenant.optional(),
  state: z.enum(['active', 'expired', 'revoked']),
  createdAt: z.string(),
  createdBy: z.string(),
  expiresAt: z.string(),
  revokedAt: z.string().optional(),
  revokedBy: z.string().optional(),
  lastUsedAt: z.string().optional(),
};
export const apiKeyRow = z.strictObject(apiKeyFields);
export const apiKeyRows = rows(apiKeyRow);
/** `apiKey` is said once. */
export const newApiKey = z.strictObject({ ...apiKeyFields, apiKey: z.string() });
export const apiKeyParams = z.strictObject({ id: z.string().regex(/^[0-9a-f]{16}$/) });

export const vmDeleted = z.strictObject({ vm: z.string() });
export const cancelRequest = z.strictObject({ text: z.string().max(TEXT_CHARS_MAX).default('cancelled by an operator') });
/** Who signed what, exactly as it goes into the ledger. */
export const breakGlassRequest = z.strictObject({
  persons: z.array(breakGlassPerson).min(BREAK_GLASS_PERSONS_MIN).max(BREAK_GLASS_PERSONS_MAX).readonly(),
  owner: dsseEnvelope,
});
export const discardRequest = z.strictObject({ text: z.string().min(1).max(TEXT_CHARS_MAX) });
export const cancelled = z.strictObject({ digest: z.string() });

const rowLimit = z.coerce.number().int().min(1).max(ROWS_MAX);
export const flag = z.enum(['true', 'false']).transform((text) => text === 'true');
export const migrationQuery = z.strictObject({
  open: flag.optional(),
  vm: vmId.optional(),
  limit: rowLimit.default(ROWS_DEFAULT),
});
export const eventQuery = z.strictObject({
  migration: migrationId.optional(),
  after: z.string().max(CURSOR_CHARS_MAX).optional(),
  limit: rowLimit.default(ROWS_MAX),
});

export const migrationParams = z.strictObject({ migration: migrationId });
export const digestParams = z.strictObject({ digest });
export const imageParams = z.strictObject({ name: imageName });
/** `<home domain>/<uuid>` stands as two path segments. */
export const vmParams = z
  .strictObject({ home: z.string(), uuid: z.string() })
  .transform(({ home, uuid }) => `${home}/${uuid}`)
  .pipe(vmId);
