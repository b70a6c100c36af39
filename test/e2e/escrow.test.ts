import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { asSelf, eventually, nodeEnv, privateDir, repositoryRoot, systemTool } from '@carnet/dev';
import { spiffeId } from '@carnet/events';
import { luksPassphrase } from '@carnet/keys';
import { issueLeaf, privateKeyPem, rememberedRsaKeys } from '@carnet/pki';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { contextText } from '../../infra/dev/src/clouds/config-text.ts';
import { type Clouds, startClouds } from '../faults/harness/clouds.ts';
import { dekAtHost } from '../faults/harness/disk-keys.ts';
import { rowsOf } from '../faults/harness/ledger-db.ts';
import { createVm, intend, must, settled, type Vm } from '../faults/harness/moves.ts';

/** A CSP loses the root of its keys, and two of three custodians bring a VM's key back: every step by the command line, as a person. */
const DAY_MS = 86_400_000;
const NEWS_MS_MAX = 60_000;
const CUSTODIANS = ['anna', 'ben', 'cleo'] as const;
const PATTERN = '0x5a';

type Person = 'operator' | 'omar' | (typeof CUSTODIANS)[number];
type Escrow = { readonly escrow: string; readonly state: string; readonly recoveries: readonly { readonly recovery: string }[] };
type Recovery = { readonly recovery: string; readonly state: string; readonly outcome?: string };
type Drill = { readonly drill: string; readonly proven: readonly string[]; readonly failed?: readonly string[] };

let clouds: Clouds;
let vm: Vm;
let key: string;
let escrow: string;
let image: string;

const idOf = (name: string): string => `spiffe://${clouds.a.plan.domain}/custodian/${name}`;

/** Runs one verb as a person, with what that person has on the own machine. */
function carnet(who: Person, ...args: readonly string[]) {
  const { paths } = clouds.a;
  const main = join(repositoryRoot, 'apps', 'carnet', 'src', 'main.ts');
  const ran = spawnSync(process.execPath, [main, '--context', paths.context(who), '-f', 'json', 'key', 'escrow', ...args], {
    encoding: 'utf8',
    env: { ...nodeEnv(), HOME: paths.home },
  });
  return { status: ran.status, err: ran.stderr, out: ran.stdout };
}
function done<T>(who: Person, ...args: readonly string[]): T {
  const { status, out, err } = carnet(who, ...args);
  if (status !== 0) throw new Error(`${args.join(' ')}: ${status} ${err}`);
  return JSON.parse(out);
}
const own = (name: string): readonly string[] => {
  const at = (file: string): string => join(clouds.a.paths.home, 'people', `${name}.${file}`);
  return ['--key-file', at('sealing-key'), '--passphrase-file', at('passphrase')];
};

/** A certificate for one more person than a federation begins with. */
async function certify(name: Person, profile: 'operator' | 'custodian'): Promise<void> {
  const { plan, paths, facts } = clouds.a;
  const authority = clouds.federation.members.get(plan.domain)?.authority;
  if (authority === undefined) throw new Error('no authority');
  const keys = await rememberedRsaKeys(join(tmpdir(), `carnet-test-keys-${userInfo().uid}`))();
  const leaf = issueLeaf(authority, {
    notBeforeMs: Date.now() - 60_000,
    notAfterMs: Date.now() + DAY_MS,
    profile,
    spiffeId: spiffeId.parse(`spiffe://${plan.domain}/${profile}/${name}`),
    dnsNames: [],
    publicKey: keys.publicKey,
    random: randomBytes,
  });
  writeFileSync(join(paths.pki, `${name}.pem`), leaf.pem);
  writeFileSync(join(paths.pki, `${name}.key`), privateKeyPem(keys.privateKey), { mode: 0o600 });
  writeFileSync(paths.context(name), contextText(facts, name));
}

/** What opens the volume, as a host gets it. */
async function passphraseFromKeyManager() {
  const dek = await dekAtHost(clouds.a, vm, key);
  return dek.ok ? luksPassphrase(dek.value) : dek.code;
}

/** One `qemu-io` command on a LUKS volume; the passphrase goes by a file, never by an argument. */
function onVolume(passphrase: Buffer, command: string): string {
  const secret = join(clouds.a.paths.home, 'luks.secret');
  writeFileSync(secret, passphrase, { mode: 0o600 });
  const disk = `driver=qcow2,file.driver=file,file.filename=${image},encrypt.key-secret=sec0`;
  const ran = spawnSync(
    systemTool('qemu-io'),
    ['--object', `secret,id=sec0,file=${secret}`, '--image-opts', disk, '-c', command],
    {
      encoding: 'utf8',
    },
  );
  rmSync(secret);
  return `${ran.stdout}${ran.stderr}`;
}

function makeVolume(passphrase: Buffer): void {
  const secret = join(clouds.a.paths.home, 'luks.secret');
  writeFileSync(secret, passphrase, { mode: 0o600 });
  const options = 'encrypt.format=luks,encrypt.key-secret=sec0,encrypt.hash-alg=sha512,encrypt.iter-time=10';
  execFileSync(systemTool('qemu-img'), [
    'create',
    '-q',
    '--object',
    `secret,id=sec0,file=${secret}`,
    '-f',
    'qcow2',
    '-o',
    options,
    image,
    '4M',
  ]);
  rmSync(secret);
}

/** What the peer has of this CSP's escrow events, in the order of the ledger. */
const witnessed = async (): Promise<readonly string[]> =>
  (
    await rowsOf<{ readonly type: string }>(
      clouds.b.database,
      "select type from events where publisher = $1 and type in ('KeyEscrowed','EscrowDrilled','RecoveryRequested','RecoveryApproved','KeyRecovered') order by seq",
      [clouds.a.plan.domain],
    )
  ).map(({ type }) => type);

beforeAll(async () => {
  const more = (domain: string) =>
    [...CUSTODIANS.map((name) => ['custodian', name] as const), ['operator', 'omar'] as const].map(([profile, name]) => ({
      uid: { type: 'User', id: `spiffe://${domain}/${profile}/${name}` },
      attrs: {},
      parents: [{ type: 'Role', id: profile === 'custodian' ? 'custodian' : 'key-custodian' }],
    }));
  clouds = await startClouds({
    policy: (text, { domain }) => {
      const parsed: unknown = text.startsWith('[') ? JSON.parse(text) : undefined;
      return Array.isArray(parsed) ? `${JSON.stringify([...parsed, ...more(domain)])}\n` : text;
    },
  });
  const { paths, facts } = clouds.a;
  writeFileSync(paths.context('operator'), contextText(facts, 'operator'));
  await certify('omar', 'operator');
  const people = privateDir(join(paths.home, 'people'), asSelf());
  for (const name of CUSTODIANS) {
    await certify(name, 'custodian');
    writeFileSync(join(people, `${name}.passphrase`), `${randomBytes(18).toString('base64')}\n`, { mode: 0o600 });
  }
  vm = await createVm(clouds.a);
  const keys = must(
    await clouds.a.api.get<{ readonly items: readonly { readonly key: string; readonly consumers: readonly string[] }[] }>(
      '/v1/keys',
    ),
  ).items;
  key = keys.find(({ consumers }) => consumers.includes(`vm:${vm.vm}`))?.key ?? '';
  image = join(paths.home, 'volume.qcow2');
  const passphrase = await passphraseFromKeyManager();
  if (typeof passphrase === 'string') throw new Error(passphrase);
  makeVolume(passphrase);
  expect(onVolume(passphrase, `write -P ${PATTERN} 0 1M`)).toContain('wrote 1048576/1048576');
}, 300_000);
afterAll(() => clouds?.stop());

describe('an escrow by the command line', () => {
  it('is dealt to custodians who have enrolled; one of three is refused', () => {
    for (const name of CUSTODIANS) expect(done(name, 'enroll', ...own(name))).toMatchObject({ custodian: idOf(name) });
    const deal = (m: string) => ['create', key, '--threshold', m, '--custodian', ...CUSTODIANS.map(idOf), '--reason', 'a new VM'];
    expect(carnet('omar', ...deal('1'))).toMatchObject({ status: 2, err: expect.stringContaining('PARAMETER_INVALID') });
    expect(carnet('anna', ...deal('2'))).toMatchObject({ status: 5, err: expect.stringContaining('ROLE_MISSING') });
    ({ escrow } = done<Escrow>('omar', ...deal('2')));
  });

  it('a drill proves two shares and names the third', async () => {
    const { drill } = done<Drill>('omar', 'drill', escrow, '--reason', 'quarterly');
    for (const name of ['anna', 'ben'] as const) done(name, 'prove', drill, ...own(name));
    expect(carnet('cleo', 'prove', drill, '--key-file', own('anna')[1] ?? '', ...own('anna').slice(2))).toMatchObject({
      status: 5,
      err: expect.stringContaining('SHARE_PROOF_WRONG'),
    });
    expect(done<Drill>('omar', 'conclude', drill)).toMatchObject({ proven: [idOf('anna'), idOf('ben')], failed: [idOf('cleo')] });
    await eventually('both events at the peer', async () => ((await witnessed()).length === 2 ? true : undefined), NEWS_MS_MAX);
    expect(await witnessed()).toEqual(['KeyEscrowed', 'EscrowDrilled']);
  });

  it('the root is lost: two of three bring the key back, and the volume opens', async () => {
    const { a } = clouds;
    await a.broker.stop();
    rmSync(a.paths.keyRoot);
    const lost = join(repositoryRoot, 'apps', 'broker', 'src', 'root-lost.ts');
    const env = nodeEnv();
    const declare = () => spawnSync(process.execPath, [lost, '--config', a.paths.brokerConfig], { encoding: 'utf8', env });
    expect(declare().stdout).toContain('1 KEKs lost');
    await a.broker.restart();
    expect(await passphraseFromKeyManager()).toBe('KEK_UNKNOWN');

    const { recovery } = done<Recovery>('operator', 'request', escrow, '--reason', 'the root is lost');
    const approve = (name: (typeof CUSTODIANS)[number]) => [
      'approve',
      recovery,
      '--reason',
      'spoken to the operator',
      ...own(name),
    ];
    done('cleo', ...approve('cleo'));
    expect(carnet('cleo', ...approve('cleo'))).toMatchObject({ status: 5, err: expect.stringContaining('APPROVAL_REPEATED') });
    expect(carnet('omar', 'recover', recovery)).toMatchObject({ status: 5, err: expect.stringContaining('APPROVALS_MISSING') });
    done('anna', ...approve('anna'));
    expect(carnet('operator', 'recover', recovery)).toMatchObject({ status: 5, err: expect.stringContaining('RECOVERY_DUTY') });
    expect(done<Recovery>('omar', 'recover', recovery)).toMatchObject({ state: 'recovered', outcome: expect.any(String) });

    const back = await passphraseFromKeyManager();
    if (typeof back === 'string') throw new Error(back);
    expect(onVolume(back, `read -P ${PATTERN} 0 1M`)).toContain('read 1048576/1048576');
    expect(onVolume(Buffer.from(randomBytes(32).toString('hex')), 'read 0 512')).toContain('Invalid password');
    expect(must(await a.api.get<object>(`/v1/keys/${key}`))).toMatchObject({ origin: 'recovered', state: 'active' });
    await eventually('every step at the peer', async () => ((await witnessed()).length === 6 ? true : undefined), NEWS_MS_MAX);
    expect((await witnessed()).slice(2)).toEqual(['RecoveryRequested', 'RecoveryApproved', 'RecoveryApproved', 'KeyRecovered']);
    for (const log of [a.paths.brokerLog, clouds.b.paths.brokerLog]) expect(readFileSync(log).includes(back)).toBe(false);
  });

  it('after the VM was given away nobody recovers its key here', async () => {
    const { a, b } = clouds;
    const migration = await intend(a, b, vm, 'cold');
    expect(await settled(clouds, migration, 90_000)).toMatchObject({ outcome: 'done' });
    expect(carnet('operator', 'request', escrow, '--reason', 'give it back')).toMatchObject({
      status: 5,
      err: expect.stringContaining('ESCROW_NOT_HOLDER'),
    });
  });

  it('the auditor finds every step in order', () => {
    const contexts = [clouds.a, clouds.b].flatMap(({ paths, facts }) => {
      writeFileSync(paths.context('auditor'), contextText(facts, 'auditor'));
      return ['--context', paths.context('auditor')];
    });
    const main = join(repositoryRoot, 'apps', 'audit', 'src', 'main.ts');
    const trust = ['--root', join(clouds.pki, 'root.pem'), '--crls', join(clouds.pki, 'crls')];
    const run = spawnSync(process.execPath, [main, 'verify', ...contexts, ...trust, '--json'], {
      encoding: 'utf8',
      env: nodeEnv(),
    });
    expect(`${run.stderr}${run.stdout}`).toMatch(/"verdict": ?"proven/);
    const { keyHistories } = JSON.parse(run.stdout);
    const { a, b } = clouds;
    expect(keyHistories).toMatchObject([a, b].map(({ plan }) => ({ csp: plan.domain, lines: expect.any(Number) })));
  });
});
