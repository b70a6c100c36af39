import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Digest,
  eventSubject,
  GENESIS,
  migrationId,
  PAYLOAD_TYPES,
  peerSubject,
  type TrustDomain,
  timestamp,
  trustDomain,
  uuidv7,
} from '@carnet/events';
import { connectNats } from '@carnet/journal';
import { leafSigner, readPem } from '@carnet/pki';
import { ed25519Signer, keyAnnouncementBytes, type Signer, sha256Hex, signEnvelope } from '@carnet/trust';
import { jetstream } from '@nats-io/jetstream';
import type { Cloud } from './cloud.ts';
import { busAddress, type Clouds } from './clouds.ts';
import { rowsOf } from './ledger-db.ts';

type Payload = Readonly<Record<string, unknown>>;
export type Shot = { readonly subject: string; readonly envelope: Uint8Array };

/** A member in good standing that does nothing but ask, and never answers: certificates, event key and place on the bus are genuine. */
export type Flooder = {
  readonly domain: TrustDomain;
  /** The next `count` events of its ledger to a victim, each a good intent with a VM of its own, signed. The first call introduces its key. */
  readonly intents: (victim: Cloud, count: number) => readonly Shot[];
  /** The same, with 64 KiB each of a type that nobody knows: signed, so it takes its place, and void. */
  readonly void64KiB: (victim: Cloud, count: number) => readonly Shot[];
  /** Into the stream of its ledger; resolves when the bus has them all. */
  readonly fire: (shots: readonly Shot[]) => Promise<void>;
  /** Bytes of no sense, on the ledger's subject and where peers talk. */
  readonly garbage: (victim: Cloud, where: 'ledger' | 'talk', count: number, bytes: number) => Promise<void>;
  readonly close: () => Promise<void>;
};

const AT_ONCE = 256;
/** Longer than any test: a flooder waits as long as it may. */
const OFFER_MS = 3_600_000;
const DEADLINE_MS = 2 * OFFER_MS;
/** Each VM has its own. */
const NAME = /"name":"[^"]*"/;
const VOID_BYTES = 46_000;

export async function openFlooder(clouds: Pick<Clouds, 'pki' | 'bus'>, domain: TrustDomain, like: Payload): Promise<Flooder> {
  const address = busAddress(clouds.pki, clouds.bus, domain, 'broker');
  const connection = await connectNats(address);
  const stream = jetstream(connection, { apiPrefix: 'bus' });
  const signer = ed25519Signer(generateKeyPairSync('ed25519').privateKey);
  const heads = new Map<string, { readonly seq: number; readonly digest: Digest }>();

  const sign = (victim: Cloud, rest: Payload): Shot => {
    const audience = victim.plan.domain;
    const head = heads.get(audience) ?? { seq: 0, digest: GENESIS };
    const [seq, time] = [head.seq + 1, timestamp.parse(new Date().toISOString())];
    const id = uuidv7(Date.now(), randomBytes(10));
    const payload = { id, v: 1, publisher: domain, audience, seq: String(seq), prev: head.digest, time, causes: [], ...rest };
    const envelope = signEnvelope(PAYLOAD_TYPES.event, Buffer.from(JSON.stringify(payload)), signer);
    heads.set(audience, { seq, digest: sha256Hex(envelope) });
    return { envelope, subject: subjectOf(domain, audience, rest) };
  };
  const introduced = (victim: Cloud): readonly Shot[] =>
    heads.has(victim.plan.domain) ? [] : [sign(victim, introduction(clouds.pki, domain, victim.plan.domain, signer))];
  const fire: Flooder['fire'] = async (shots) => {
    for (let at = 0; at < shots.length; at += AT_ONCE)
      await Promise.all(shots.slice(at, at + AT_ONCE).map(({ subject, envelope }) => stream.publish(subject, envelope)));
  };

  return {
    domain,
    intents: (victim, count) => [
      ...introduced(victim),
      ...Array.from({ length: count }, () => sign(victim, intended(domain, victim.plan.domain, like))),
    ],
    void64KiB: (victim, count) => [
      ...introduced(victim),
      ...Array.from({ length: count }, () => sign(victim, { type: 'Nonsense', data: { text: 'x'.repeat(VOID_BYTES) } })),
    ],
    fire,
    garbage: async (victim, where, count, bytes) => {
      const noise = randomBytes(bytes);
      const subject = eventSubject({ publisher: domain, audience: victim.plan.domain, type: 'Nonsense', migration: undefined });
      if (where === 'ledger') await fire(Array.from({ length: count }, () => ({ subject, envelope: noise })));
      for (let sent = 0; where === 'talk' && sent < count; sent += AT_ONCE) {
        for (let i = 0; i < Math.min(AT_ONCE, count - sent); i += 1)
          connection.publish(peerSubject(domain, victim.plan.domain), noise);
        await connection.flush();
      }
    },
    close: () => connection.close(),
  };
}

/** What an intent of the victim's own held, as the pattern for those of the flooder. */
export async function genuineIntent({ database, plan }: Cloud): Promise<Payload> {
  const [row] = await rowsOf<{ readonly envelope: Uint8Array }>(
    database,
    "select envelope from events where publisher = $1 and type = 'MigrationIntended' order by seq desc limit 1",
    [plan.domain],
  );
  if (row === undefined) throw new Error(`${plan.domain} has intended nothing yet`);
  const { payload } = JSON.parse(Buffer.from(row.envelope).toString('utf8'));
  return JSON.parse(Buffer.from(payload, 'base64').toString('utf8')).data;
}

/** An intent that an honest peer would answer: a VM of the flooder's own home, which nobody has ever seen. */
function intended(source: TrustDomain, target: TrustDomain, like: Payload): Payload {
  const [home = '', uuid = ''] = String(like['vm']).split('/');
  const own = JSON.parse(
    JSON.stringify(like).replaceAll(uuid, randomUUID()).replaceAll(home, source).replace(NAME, `"name":"vm-${randomUUID()}"`),
  ) as Payload;
  const nowMs = Date.now();
  return {
    type: 'MigrationIntended',
    migration: migrationId.parse(uuidv7(nowMs, randomBytes(10))),
    epoch: 1,
    data: {
      ...own,
      source,
      target,
      request: { via: 'mtls', principal: `spiffe://${source}/operator`, digest: sha256Hex(randomBytes(1)) },
      offerBy: new Date(nowMs + OFFER_MS).toISOString(),
      deadline: new Date(nowMs + DEADLINE_MS).toISOString(),
    },
  };
}

function introduction(
  pki: string,
  domain: TrustDomain,
  audience: TrustDomain,
  signer: ReturnType<typeof ed25519Signer>,
): Payload {
  const pem = (kind: string): string => readFileSync(join(pki, domain, `broker.${kind}`), 'utf8');
  const chain = readPem(pem('pem'), 'CERTIFICATE');
  const said = {
    keyid: signer.keyid,
    algorithm: 'Ed25519' as const,
    publicKey: Buffer.from(signer.publicKey).toString('base64'),
    notBefore: timestamp.parse(new Date().toISOString()),
  };
  const leaf: Signer = leafSigner(pem('key'), chain[0] ?? new Uint8Array());
  const signature = Buffer.from(leaf.sign(keyAnnouncementBytes(domain, audience, said))).toString('base64');
  return { type: 'KeyAnnounced', data: { ...said, chain: chain.map((der) => Buffer.from(der).toString('base64')), signature } };
}

const subjectOf = (publisher: TrustDomain, audience: TrustDomain, rest: Payload): string =>
  eventSubject({
    publisher,
    audience,
    type: String(rest['type']),
    migration: rest['migration'] === undefined ? undefined : migrationId.parse(rest['migration']),
  });

export const CSP_C = trustDomain.parse('csp-c.example');
