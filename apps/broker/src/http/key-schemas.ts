import { dsseEnvelope, keyChangeReason, text, vmId } from '@carnet/events';
import { z } from 'zod';
import { flag, rows } from './schemas.ts';

const reportedState = z.strictObject({
  event: z.string(),
  peer: z.string(),
  from: z.string(),
  to: z.string(),
  reason: z.string(),
  at: z.string(),
});
const keyFields = {
  key: z.string(),
  version: z.int(),
  arrival: z.int(),
  current: z.boolean(),
  project: z.string(),
  vm: z.string().optional(),
  kind: z.string(),
  state: z.string(),
  origin: z.string(),
  artifact: z.string(),
  capacityBytes: z.number(),
  algorithm: z.string(),
  derivation: z.string(),
  headerDigest: z.string().optional(),
  imageRoot: z.string().optional(),
  kekVersion: z.int().optional(),
  source: z.string().optional(),
  migration: z.string().optional(),
  epoch: z.int().optional(),
  consumers: z.array(z.string()).readonly(),
  createdAt: z.string(),
  changedAt: z.string(),
  provenance: z.array(z.string()).readonly(),
  replaces: z.string().optional(),
  reportedCompromisedBy: z.array(z.string()).readonly(),
};
export const keyRows = rows(z.strictObject(keyFields));
export const keyDetail = z.strictObject({
  ...keyFields,
  validFrom: z.string().optional(),
  validTo: z.string().optional(),
  history: z
    .array(
      z.strictObject({
        arrival: z.int(),
        state: z.string(),
        at: z.string(),
        actor: z.string(),
        reason: z.string(),
        digest: z.string(),
        cause: z.string().optional(),
        signature: dsseEnvelope.optional(),
      }),
    )
    .readonly(),
  historyChain: z.enum(['intact', 'broken']),
  holdings: z
    .array(
      z.strictObject({
        arrival: z.int(),
        state: z.string(),
        origin: z.string(),
        createdAt: z.string(),
        changedAt: z.string(),
      }),
    )
    .readonly(),
  shared: z.array(z.strictObject({ peer: z.string(), migration: z.string(), direction: z.enum(['in', 'out']) })).readonly(),
  reports: z.array(reportedState).readonly(),
});
export const keyQuery = z.strictObject({ former: flag.optional() });
/** For this CSP's own records: peers learn the code, never the text. */
const reasonText = text.min(1);
export const keyChange = z.strictObject({ reason: reasonText, code: keyChangeReason });
export const keyConsumer = z.strictObject({ vm: vmId });
export const rotationRequest = z.strictObject({ reason: reasonText, version: z.int().min(1).optional() });
export const rotation = z.strictObject({
  project: z.string(),
  version: z.int(),
  deks: z.int(),
  secrets: z.int(),
  outside: z.int(),
  left: z.int(),
  done: z.boolean(),
  destroyed: z.array(z.int()).readonly(),
});
export const keyUseRows = rows(
  z.strictObject({
    n: z.int(),
    at: z.string(),
    key: z.string(),
    operation: z.string(),
    principal: z.string(),
    reason: z.string(),
    vm: z.string(),
    host: z.string().optional(),
    peer: z.string().optional(),
    migration: z.string().optional(),
    epoch: z.int().optional(),
    digest: z.string(),
  }),
);
export const usesVerdict = z.strictObject({
  intact: z.boolean(),
  uses: z.int(),
  head: z.string(),
  brokenAt: z.int().optional(),
});

export const keyParams = z.strictObject({ key: z.string().max(64) });
export const keyConsumerParams = z
  .strictObject({ key: z.string().max(64), home: z.string(), uuid: z.string() })
  .transform(({ key, home, uuid }) => ({ key, vm: `${home}/${uuid}` }))
  .pipe(z.strictObject({ key: z.string(), vm: vmId }));
export const projectParams = z.strictObject({ project: z.string().max(64) });
