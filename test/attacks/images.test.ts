import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '@carnet/dev';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ledgersAgree, neverBoth, runsAt, strayOf, tracesOf } from '../faults/harness/checks.ts';
import { type Clouds, startClouds } from '../faults/harness/clouds.ts';
import { eventAppears, ledgerRows } from '../faults/harness/ledger-db.ts';
import { createVm, intend, settled, type Vm } from '../faults/harness/moves.ts';
import { type Lie, tellLie } from '../faults/harness/rogue.ts';

/** B's disk: room for the promise that a 1 MiB disk takes (1 + 32 MiB and its share), and little more. */
const B_DISK = '40m';

let clouds: Clouds;

beforeAll(async () => {
  clouds = await startClouds({
    // A disk of its own, in a mount namespace of its own, so that "full" is the kernel's word.
    wrapAgent: (command, { key }, paths) =>
      key === 'b'
        ? [
            'unshare',
            '-rm',
            'sh',
            '-c',
            'mount -t tmpfs -o size="$1",mode=700 none "$2" && shift 2 && exec "$@"',
            'sh',
            B_DISK,
            paths.volumes,
            ...command,
          ]
        : command,
  });
});

afterAll(() => clouds?.stop());

/** B's volumes as B's agent sees them. */
const volumesOfB = (): string => `/proc/${clouds.b.agent.pid}/root${clouds.b.paths.volumes}`;

function volumeFile({ uuid }: Vm): string {
  const dir = join(clouds.a.paths.volumes, uuid);
  const name = readdirSync(dir).find((one) => one.endsWith('.qcow2'));
  if (name === undefined) throw new Error(`no volume of ${uuid}`);
  return join(dir, name);
}

/** Three chunks of 1 MiB, each different: blanks that JSON ignores, in a pattern of their own. */
function makeLarge(vm: Vm): void {
  const file = volumeFile(vm);
  const blanks = Buffer.from(randomBytes(3 * 1_048_576).map((byte) => [9, 10, 13, 32][byte & 3] ?? 32));
  writeFileSync(file, Buffer.concat([readFileSync(file), blanks]));
}

const endsRolledBack = async (vm: Vm, migration: string, code: string): Promise<void> => {
  const { a, b } = clouds;
  const end = await settled(clouds, migration, 60_000);
  expect(end).toMatchObject({ outcome: 'rolled-back' });
  expect(end).toHaveProperty('reasons', expect.arrayContaining([expect.objectContaining({ code })]));
  await eventually('the VM at A', () => (runsAt(clouds, vm).join() === a.plan.domain ? true : undefined), 15_000);
  neverBoth(clouds, vm);
  await ledgersAgree(clouds);
  expect(await tracesOf(b, vm)).toEqual([]);
  expect(readdirSync(volumesOfB(), { recursive: true, encoding: 'utf8' }).filter((name) => name.includes(vm.uuid))).toEqual([]);
  expect(strayOf(b)).toEqual([]);
};

/** While A's host lies; the guest is stopped by then, so that honest disks come back before it runs again. */
async function attack(lie: Lie, vm: Vm, code: string): Promise<string> {
  const { a, b } = clouds;
  const honest = readFileSync(volumeFile(vm));
  const file = volumeFile(vm);
  tellLie(a.paths.agentState, lie);
  try {
    const migration = await intend(a, b, vm, 'cold');
    await Promise.race([
      eventAppears(a.database, migration, 'MigrationRelinquished', 60_000),
      eventAppears(a.database, migration, 'MigrationWithdrawn', 60_000),
    ]);
    writeFileSync(file, honest);
    tellLie(a.paths.agentState, null);
    await endsRolledBack(vm, migration, code);
    return migration;
  } finally {
    tellLie(a.paths.agentState, null);
  }
}

describe('a source whose host lies about the image: refused at B, rolled back, nothing kept, the VM runs at A', () => {
  it.each(['flipped', 'missing', 'repeated', 'reordered'] as const)('a %s chunk', async (what) => {
    const vm = await createVm(clouds.a);
    makeLarge(vm);
    await attack({ kind: 'serve', what }, vm, what === 'missing' ? 'TRANSFER_FAILED' : 'CHUNK_MISMATCH');
  });

  it('a signed image whose header names a backing file: no qemu tool ever sees it', async () => {
    const { a } = clouds;
    const vm = await createVm(a);
    const file = join(clouds.root, 'evil.qcow2');
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-u', '-F', 'raw', '-b', '/etc/passwd', file, '1M']);
    await attack({ kind: 'other-volume', file }, vm, 'IMAGE_REFUSED');
    rmSync(file);
  });

  it('a DEK that does not match: the release opens, the volume does not, and nothing was started', async () => {
    const { a, b } = clouds;
    const vm = await createVm(a);
    const file = volumeFile(vm);
    const honest = readFileSync(file);
    const other = {
      ...(JSON.parse(honest.toString('utf8')) as object),
      slots: [createHash('sha256').update('another').digest('hex')],
    };
    tellLie(a.paths.agentState, { kind: 'any-key-opens' });
    writeFileSync(file, JSON.stringify(other));
    const migration = await intend(a, b, vm, 'cold');
    await eventAppears(a.database, migration, 'MigrationRelinquished', 60_000);
    writeFileSync(file, honest);
    tellLie(a.paths.agentState, null);
    await endsRolledBack(vm, migration, 'LUKS_DOES_NOT_OPEN');
    const types = (await ledgerRows(a.database)).flatMap((row) => (row.migration === migration ? [row.type] : []));
    expect(types).toContain('KeyReleased');
    expect(types).not.toContain('StartAuthorized');
  });
});

describe('a target whose disk is full', () => {
  it('between promise and copy: rolled back with its own code, nothing left, and the next migration succeeds', async () => {
    const { a, b } = clouds;
    const vm = await createVm(a);
    makeLarge(vm);
    const migration = await intend(a, b, vm, 'cold');
    await eventAppears(a.database, migration, 'MigrationOffered', 30_000);
    const filler = join(volumesOfB(), 'filler');
    try {
      writeFileSync(filler, Buffer.alloc(39 * 1_048_576));
    } finally {
      await eventAppears(a.database, migration, 'MigrationRelinquished', 60_000);
      rmSync(filler);
    }
    await endsRolledBack(vm, migration, 'NO_ROOM');
    expect(await settled(clouds, await intend(a, b, vm, 'cold'), 60_000)).toMatchObject({ outcome: 'done' });
    await eventually('the VM at B', () => (runsAt(clouds, vm).join() === b.plan.domain ? true : undefined));
    neverBoth(clouds, vm);
  });
});
