import { generateKeyPairSync, sign, verify } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Digest,
  type Draft,
  digest,
  epoch,
  keyStateChanged,
  migrationId,
  type TrustDomain,
  timestamp,
  trustDomain,
  uuidv7,
  type VmId,
  vmSpec,
} from '@carnet/events';
import type { Store } from '@carnet/store';
import { ed25519Signer, type Signer, sha256Hex, type Verifier } from '@carnet/trust';
import { sql } from 'kysely';
import { openEmptyStore } from '../../../store/src/testing.ts';
import type { Boots } from '../boots.ts';
import type { Surroundings } from '../doubt.ts';
import type { ChainValidator, Introduction, JournalOptions, Log, Signing } from '../index.ts';

export const A = trustDomain.parse('csp-a.example');
export const B = trustDomain.parse('csp-b.example');
export const C = trustDomain.parse('csp-c.example');

/** Stands in for the X.509 identity: a chain is one base64 text, its DER the domain's name. */
const identities = new Map<TrustDomain, ReturnType<typeof identity>>();

function identity(domain: TrustDomain): {
  readonly chain: readonly string[];
  readonly signer: Signer;
  readonly verifier: Verifier;
} {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const der = Buffer.from(domain);
  return {
    chain: [der.toString('base64')],
    signer: { keyid: sha256Hex(der), sign: (bytes) => sign(null, bytes, privateKey) },
    verifier: { verify: (bytes, signature) => verify(null, bytes, publicKey, signature) },
  };
}

export const identityOf = (domain: TrustDomain): ReturnType<typeof identity> => {
  const known = identities.get(domain) ?? identity(domain);
  identities.set(domain, known);
  return known;
};

export const validateChain: ChainValidator = async (chain, domain) =>
  chain[0] === identityOf(domain).chain[0]
    ? { ok: true, value: { spkiVerifier: identityOf(domain).verifier } }
    : { ok: false, code: 'DOMAIN_MISMATCH', text: `expected a chain of ${domain}` };

const eventKeys = new Map<TrustDomain, ReturnType<typeof ed25519Signer>>();
export const newEventKey = (): ReturnType<typeof ed25519Signer> => ed25519Signer(generateKeyPairSync('ed25519').privateKey);
export const eventKeyOf = (domain: TrustDomain): ReturnType<typeof ed25519Signer> => {
  const known = eventKeys.get(domain) ?? newEventKey();
  eventKeys.set(domain, known);
  return known;
};

export type Said = { readonly level: string; readonly fields: object; readonly text: string };
export function memoryLog(): Log & { readonly said: Said[] } {
  const said: Said[] = [];
  const at = (level: string) => (fields: object, text: string) => void said.push({ level, fields, text });
  return { said, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

let seed = 1;
/** Unpredictable enough for ids of a test, and the same in each run. */
export const testRandom = (n: number): Uint8Array =>
  Uint8Array.from({ length: n }, () => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor(seed / 65_536) % 256;
  });

export const testClock = { nowMs: (): number => Math.floor(performance.timeOrigin + performance.now()) };
const made: string[] = [];
export const temporaryDir = (): string => {
  const dir = mkdtempSync(join(tmpdir(), 'carnet-journal-'));
  made.push(dir);
  return dir;
};
/** For `afterAll`. */
export const removeTemporaryDirs = (): void => {
  for (const dir of made.splice(0)) rmSync(dir, { recursive: true, force: true });
};

export const introductionOf = (self: TrustDomain): Introduction => ({
  ...identityOf(self),
  notBefore: timestamp.parse('2026-01-01T00:00:00.000Z'),
});

/** A bus that holds nothing of ours, and a peer that nothing holds up. */
export const NOTHING_AROUND: Surroundings = { onBus: async () => [], isHeld: () => false };

/** No machine is set back here, and there is no bus to ask. */
export const NEVER_SET_BACK: Boots = { look: () => undefined, isCompared: async () => true, compared: async () => undefined };

export const journalOptions = (
  store: Store,
  self: TrustDomain,
  peers: readonly TrustDomain[],
  { signer = eventKeyOf(self), introduction, ...over }: Partial<JournalOptions & Signing> = {},
): JournalOptions => ({
  store,
  self,
  peers,
  signing: () => ({ signer, introduction: introduction ?? introductionOf(self) }),
  validateChain,
  headDir: temporaryDir(),
  boots: NEVER_SET_BACK,
  clock: testClock,
  random: testRandom,
  log: memoryLog(),
  ...over,
});

/** An embedded store of its own, which says nothing. */
export const openTestStore = (): Promise<Store> => openEmptyStore(temporaryDir());

/** As it was before the first journal. */
export const emptyStore = async (one: Store): Promise<void> => {
  for (const table of ['events', 'ledgers', 'peers', 'proofs', 'checkpoints', 'changes_journal', 'changes_journal_lock'])
    await sql.raw(`drop table if exists ${table}`).execute(one.db);
};

export const anyDigest = digest.parse('ab'.repeat(32));
export const newMigration = () => migrationId.parse(uuidv7(testClock.nowMs(), testRandom(10)));

/** A small legal event: what the ledger carries does not matter to it. */
export const refusal = (reason = 'no room', causes: readonly Digest[] = [], migration = newMigration()): Draft => ({
  type: 'MigrationRefused',
  causes,
  migration,
  epoch: epoch.parse(1),
  data: { intent: anyDigest, reasons: [{ code: 'NO_ROOM', text: reason }] },
});

export const keyChange = (at: string): Draft => ({
  type: 'KeyStateChanged',
  causes: [],
  data: keyStateChanged.parse({
    key: '11111111-1111-4111-8111-111111111111',
    version: 1,
    migration: newMigration(),
    from: 'active',
    to: 'compromised',
    reason: 'key-compromise',
    at,
  }),
});

/** Opens an attempt to move a VM: the one event that says which. */
export const intent = (vm: VmId, source: TrustDomain, target: TrustDomain, migration = newMigration()): Draft => ({
  type: 'MigrationIntended',
  causes: [],
  migration,
  epoch: epoch.parse(1),
  data: {
    vm,
    source,
    target,
    mode: 'cold',
    spec: vmSpec.parse({
      name: 'tiny',
      vcpus: 1,
      memoryMiB: 256,
      machine: 'pc-q35-7.2',
      cpuModel: 'qemu64',
      boot: { kind: 'disk' },
      disks: [{ artifact: ARTIFACT, target: 'vda', format: 'qcow2', capacityBytes: 268_435_456, key: ARTIFACT }],
    }),
    request: { via: 'mtls', principal: `spiffe://${source}/operator`, digest: anyDigest },
    policy: {
      allowed: true,
      policySet: anyDigest,
      version: 1,
      schema: anyDigest,
      entities: anyDigest,
      engine: 'cedar 4.13.0',
      asked: {
        action: 'send',
        principal: `spiffe://${source}/operator`,
        vm,
        source,
        target,
        mode: 'cold',
        time: timestamp.parse('2026-11-28T10:00:00.000Z'),
        open: { migrations: 0, memoryMiB: 0, diskBytes: 0 },
        approvers: [],
      },
      request: anyDigest,
      determining: [],
      reasons: [{ code: 'ALLOWED', text: '' }],
    },
    offerBy: timestamp.parse('2026-11-28T10:00:00.000Z'),
    deadline: timestamp.parse('2026-11-28T11:00:00.000Z'),
  },
});
const ARTIFACT = '9b4e28ba-2fa1-41d2-883f-0016d3cca427';

/** A plan that decides these drafts and nothing else. */
export const decide =
  (...drafts: readonly Draft[]) =>
  async () => ({ drafts, value: null });
