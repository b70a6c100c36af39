import { leafSigner, readPem } from '@carnet/pki';
import { type Context, createPublisher, type Publisher, type Wish } from '@carnet/publisher';
import { EXIT, VerbError } from '../exit.ts';
import type { Column } from '../output.ts';
import { answered, type World } from '../world.ts';

// Loaded by `plan` and `start` alone: certificates and the event language take their time.

export interface WishOptions {
  readonly to: string;
  readonly mode: 'cold' | 'suspend';
  readonly id?: string;
  readonly notAfter?: string;
  readonly reason?: string;
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

const wishOf = (vm: string, id: string, { to, mode, notAfter, reason }: WishOptions): Wish => ({
  id,
  vm,
  target: to,
  mode,
  ...(notAfter === undefined ? {} : { notAfter }),
  ...(reason === undefined ? {} : { reason }),
});

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

/** Asks, and if no answer came, names the id under which asking again is the same wish. */
export async function start(vm: string, options: WishOptions, world: World): Promise<Started> {
  const publisher = await publisherOf(world, identityOf(await world.context()));
  const id = options.id ?? (await publisher.newId());
  const answer = await publisher.intend(wishOf(vm, id, options));
  if (!answer.ok && (answer.code === 'UNREACHABLE' || answer.code === 'INTERRUPTED')) {
    const exit = answer.code === 'UNREACHABLE' ? EXIT.unreachable : EXIT.failed;
    throw new VerbError(exit, answer.code, answer.text, `It may have been taken. Asking again is safe with: --id ${id}`);
  }
  return answered(answer);
}

const PLAN_COLUMNS: readonly Column<{ readonly side: string; readonly step: string; readonly undo: string }>[] = [
  { name: 'side', cell: (row) => row.side },
  { name: 'step', cell: (row) => row.step },
  { name: 'undo', cell: (row) => row.undo },
];

export async function plan(vm: string, options: WishOptions, world: World): Promise<void> {
  const publisher = await publisherOf(world);
  const answer = answered(await publisher.plan(wishOf(vm, options.id ?? (await publisher.newId()), options)));
  const { policy, steps, stopSeconds } = answer;
  const stop = stopSeconds === undefined ? 'not predicted in this version' : `~${stopSeconds.toFixed(1)} s`;
  const why = policy.source.reasons.map((reason) => reason.text).join('; ') || 'no reasons';
  world.streams.err(`epoch ${answer.epoch}, ${answer.bytes} bytes at most, stop ${stop}\n`);
  world.streams.err(`policy here: ${policy.source.allowed ? 'allows' : 'denies'} (${why}); the peer's is ${policy.target}\n`);
  const whole = world.format === 'json' || world.format === 'jsonl' || world.format === 'yaml';
  await (whole ? world.show(answer, []) : world.list(steps, PLAN_COLUMNS));
  if (!policy.source.allowed) throw new VerbError(EXIT.refused, 'POLICY_DENIES', "this CSP's policy denies the move");
}
