import { digest, signedEvidence, type Timestamp, timestamp, type VmId } from '@carnet/events';
import { z } from 'zod';
import { refused } from './codes.ts';
import { stepResult } from './command/result.ts';
import { commandId } from './command/scalars.ts';
import type { HostPaths } from './host-paths.ts';
import { PEOPLE_REMEMBERED_MS, STEP_LOG_BYTES_LARGE, STEP_LOG_BYTES_MAX } from './limits.ts';
import { done, type Outcome, setBack } from './outcome.ts';
import type { HostFiles } from './ports/files.ts';
import { isOfPeople } from './steps/step-key.ts';

/** What was seen before the first effect; after a crash the effect itself may have changed it. */
const seen = z.record(z.string().max(40), z.union([z.string().max(128), z.int(), z.boolean()])).readonly();
export type Seen = z.infer<typeof seen>;

const common = { v: z.literal(1), key: z.string().max(128), id: commandId, content: digest, time: timestamp };

/** `intent` comes before the first effect, `outcome` after the last observation. Failures are not recorded: they are tried again. */
const stepRecord = z.discriminatedUnion('record', [
  z.strictObject({ ...common, record: z.literal('intent'), seen }).readonly(),
  z.strictObject({ ...common, record: z.literal('outcome'), result: stepResult, evidence: signedEvidence.optional() }).readonly(),
]);
export type StepRecord = z.infer<typeof stepRecord>;
export type IntentRecord = Extract<StepRecord, { readonly record: 'intent' }>;
export type OutcomeRecord = Extract<StepRecord, { readonly record: 'outcome' }>;

/** The durable record of one VM's steps on this host. The first intent and the first outcome of a step count. */
export type StepLog = {
  intent(key: string): IntentRecord | undefined;
  outcome(key: string): OutcomeRecord | undefined;
  /** One at a time: steps of a VM stand in one line. */
  append(record: StepRecord): Promise<void>;
};

const NEWLINE = 0x0a;
const lineOf = (record: StepRecord): string => `${JSON.stringify(record)}\n`;

/** Of a command of people, whose repeats are good no longer. What belongs to a migration is remembered for ever. */
const isOld = ({ key, time }: StepRecord, now: Timestamp): boolean =>
  isOfPeople(key) && Date.parse(now) - Date.parse(time) > PEOPLE_REMEMBERED_MS;

/** Records of the file's whole lines, and the length of what is sound. A torn tail is what a power cut leaves of an append. */
function parseLog(bytes: Buffer): { readonly records: readonly StepRecord[]; readonly soundBytes: number } | undefined {
  const records: StepRecord[] = [];
  let start = 0;
  while (start < bytes.length) {
    const end = bytes.indexOf(NEWLINE, start);
    const record = end < 0 ? undefined : parseLine(bytes.subarray(start, end));
    if (record === undefined) {
      const isTail = end < 0 || end === bytes.length - 1;
      return isTail ? { records, soundBytes: start } : undefined;
    }
    records.push(record);
    start = end + 1;
  }
  return { records, soundBytes: start };
}

function parseLine(line: Buffer): StepRecord | undefined {
  try {
    const record = stepRecord.safeParse(JSON.parse(line.toString('utf8')));
    return record.success ? record.data : undefined;
  } catch {
    return undefined;
  }
}

/** Opens one VM's step log, cutting a torn tail off; damage before the tail refuses the VM. */
export async function openStepLog(files: HostFiles, paths: HostPaths, vm: VmId): Promise<Outcome<StepLog>> {
  const path = paths.steps(vm);
  const bytes = (await files.read(path)) ?? Buffer.alloc(0);
  const parsed = bytes.length > STEP_LOG_BYTES_MAX ? undefined : parseLog(bytes);
  if (parsed === undefined) return setBack(refused('STEP_LOG_DAMAGED'));
  if (parsed.soundBytes < bytes.length) await files.truncate(path, parsed.soundBytes);
  const intents = new Map<string, IntentRecord>();
  const outcomes = new Map<string, OutcomeRecord>();
  const remember = (record: StepRecord): void => {
    if (record.record === 'intent') {
      if (!intents.has(record.key)) intents.set(record.key, record);
    } else if (!outcomes.has(record.key)) outcomes.set(record.key, record);
  };
  parsed.records.forEach(remember);
  let { soundBytes } = parsed;
  let isSound = true;
  let largeBytes = STEP_LOG_BYTES_LARGE;
  // Twice what is left: what is kept is not written anew with each step.
  const forgetOld = async (now: Timestamp): Promise<void> => {
    for (const records of [intents, outcomes]) for (const [key, record] of records) if (isOld(record, now)) records.delete(key);
    const kept = Buffer.from([...intents.values(), ...outcomes.values()].map(lineOf).join(''));
    await files.write(path, kept);
    soundBytes = kept.length;
    largeBytes = Math.max(STEP_LOG_BYTES_LARGE, 2 * soundBytes);
  };
  // Of one that failed a part may be there (a full disk): what is written after it would be lost in its line.
  const append = async (line: Buffer): Promise<void> => {
    if (!isSound && (await files.size(path)) !== undefined) await files.truncate(path, soundBytes);
    isSound = false;
    await files.append(path, line);
    soundBytes += line.length;
    isSound = true;
  };
  return done({
    intent: (key) => intents.get(key),
    outcome: (key) => outcomes.get(key),
    append: async (record) => {
      await append(Buffer.from(lineOf(record)));
      remember(record);
      // What is recorded stands; a disk that is full is for the next step to see.
      if (soundBytes > largeBytes) await forgetOld(record.time).catch(() => undefined);
    },
  });
}
