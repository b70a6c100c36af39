import { readFileSync } from 'node:fs';
import { type DsseEnvelope, dsseEnvelope } from '@carnet/events';
import { leafSigner, readPem } from '@carnet/pki';
import { type Context, createPublisher, type Plan, type Publisher, type Wish } from '@carnet/publisher';
import { EXIT, VerbError } from '../exit.ts';
import { type Column, humanBytes } from '../output.ts';
import { answered, type World } from '../world.ts';

// Loaded by `plan` and `start` alone: certificates and the event language take their time.

export interface WishOptions {
  readonly to: string;
  readonly mode: 'cold' | 'suspend';
  readonly rekey?: 'none' | 'slot' | 'full-online' | 'full';
  readonly id?: string;
  readonly notAfter?: string;
  readonly reason?: string;
  readonly consent?: string;
}

const publisherOf = async (
  world: World,
  identity?: { readonly keyPem: string; readonly leaf: Uint8Array },
): Promise<Publisher> => {
  const { nowMs, random } = world.streams;
  const signing =
    identity === undefined
      ? {}
      : {
          identity: {
            signer: leafSigner(identity.keyPem, identity.leaf),
            certificate: Buffer.from(identity.leaf).toString('base64'),
          },
        };
  return createPublisher({ broker: await world.broker(), nowMs, random, ...signing });
};

/** Whoever holds a certificate signs for himself: peer and auditor then need not take the broker's word for who asked. */
export function identityOf({ address }: Context): { readonly keyPem: string; readonly leaf: Uint8Array } | undefined {
  const { credentials } = address;
  if (credentials.kind === 'token') return undefined;
  const leaf = readPem(String(credentials.certificate), 'CERTIFICATE')[0];
  return leaf === undefined ? undefined : { keyPem: String(credentials.key), leaf };
}

const wishOf = (vm: string, id: string, { to, mode, rekey, notAfter, reason, consent }: WishOptions): Wish => ({
  id,
  vm,
  target: to,
  mode,
  ...(rekey === undefined ? {} : { rekey }),
  ...(notAfter === undefined ? {} : { notAfter }),
  ...(reason === undefined ? {} : { reason }),
  ...(consent === undefined ? {} : { consent: readConsent(consent) }),
});

/** Whether it is the owner's, brokers say. */
function readConsent(file: string): DsseEnvelope {
  try {
    return dsseEnvelope.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    throw new VerbError(EXIT.usage, 'ARGUMENT_INVALID', `${file}: expected what \`carnet consent sign\` prints`);
  }
}

interface Started {
  readonly id: string;
  readonly digest: string;
  readonly repeated: boolean;
}
export const startedColumns: readonly Column<Started>[] = [
  { name: 'migration', cell: (row) => row.id },
  { name: 'digest', cell: (row) => row.digest },
  { name: 'repeated', cell: (row) => String(row.repeated) },
];

/** The broker may have decided before it, or its database, went away. */
const MAYBE_TAKEN: ReadonlySet<string> = new Set(['UNREACHABLE', 'INTERRUPTED', 'DATABASE_UNAVAILABLE']);

/** Asks, and if no answer came, names the id under which asking again is the same wish. */
export async function start(vm: string, options: WishOptions, world: World): Promise<Started> {
  const publisher = await publisherOf(world, identityOf(await world.context()));
  const id = options.id ?? (await publisher.newId());
  const answer = await publisher.intend(wishOf(vm, id, options));
  if (!answer.ok && MAYBE_TAKEN.has(answer.code)) {
    const exit = answer.code === 'INTERRUPTED' ? EXIT.failed : EXIT.unreachable;
    throw new VerbError(exit, answer.code, answer.text, `It may have been taken. Asking again is safe with: --id ${id}`);
  }
  return answered(answer);
}

const STEP_COLUMNS: readonly Column<Plan['steps'][number]>[] = [
  { name: 'side', cell: (row) => row.side },
  { name: 'step', cell: (row) => row.step },
  { name: 'undo', cell: (row) => row.undo },
];

interface Planned {
  readonly plan: Plan;
  readonly to: string;
}
const PLAN_COLUMNS: readonly Column<Planned>[] = [
  { name: 'epoch', cell: ({ plan }) => plan.epoch },
  {
    name: 'policy here',
    cell: ({ plan: { policy } }) =>
      `${policy.source.allowed ? 'allows' : 'denies'}: ${policy.source.reasons.map(({ text }) => text).join('; ') || 'no reasons'}`,
    tone: ({ plan }) => (plan.policy.source.allowed ? 'good' : 'bad'),
  },
  { name: 'policy there', cell: ({ plan, to }) => `unknown: ${to} is ${plan.policy.target}` },
  { name: 'carries', cell: ({ plan }) => carriesText(plan) },
  { name: 'stop', cell: stopText },
  {
    name: 'warnings',
    cell: ({ plan }) => plan.warnings.map(({ code, text }) => `${code}: ${text}`),
    tone: ({ plan }) => (plan.warnings.length > 0 ? 'bad' : undefined),
  },
];

function carriesText({ bytes, basis: { diskBytes, diskBytesFrom, memoryBytes } }: Plan): string {
  const disks = `disks ${humanBytes(diskBytes)}, ${diskBytesFrom === 'host' ? 'as their host reports them' : 'their whole size: their host did not answer'}`;
  return memoryBytes === 0 ? disks : `${humanBytes(bytes)} at most: ${disks}; memory ${humanBytes(memoryBytes)}`;
}

/** Every number with what it rests on: a prediction that hides its ground is taken for a promise. */
function stopText({ plan: { bytes, stopSeconds, basis }, to }: Planned): string {
  if (stopSeconds === 0) return `none: the VM is ${basis.state}`;
  const { basis: ground, bytesPerSecond, aroundSeconds, moves, largestBytes } = basis.rate;
  const sum = `~${stopSeconds.toFixed(1)} s: ${humanBytes(bytes)} at ${humanBytes(bytesPerSecond)}/s, and ${aroundSeconds.toFixed(1)} s to stop, hand over and start`;
  return ground === 'assumed'
    ? `${sum}; assumed: nothing was moved with ${to} yet`
    : `${sum}; measured on ${moves} finished ${moves === 1 ? 'move' : 'moves'} with ${to} of up to ${humanBytes(largestBytes)}`;
}

export async function plan(vm: string, options: WishOptions, world: World): Promise<void> {
  const publisher = await publisherOf(world);
  const answer = answered(await publisher.plan(wishOf(vm, options.id ?? (await publisher.newId()), options)));
  const { policy, steps } = answer;
  const whole = world.format === 'json' || world.format === 'jsonl' || world.format === 'yaml';
  if (whole) await world.show(answer, []);
  else {
    // Steps alone where a program reads columns; for people, what they weigh comes first.
    if (world.format === 'table') {
      await world.say({ plan: answer, to: options.to }, PLAN_COLUMNS);
      world.streams.out('\n');
    }
    await world.list(steps, STEP_COLUMNS);
  }
  if (!policy.source.allowed) throw new VerbError(EXIT.refused, 'POLICY_DENIES', "this CSP's policy denies the move");
}
