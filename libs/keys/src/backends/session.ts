import { readFile } from 'node:fs/promises';
import type { TrustDomain } from '@carnet/events';
import { wiper } from '../bytes.ts';
import { CA_BYTES_MAX, CREDENTIAL_BYTES_MIN } from '../limits.ts';
import { withText } from '../ports.ts';
import { refusal } from '../refusal.ts';
import { ok, type Result } from '../result.ts';
import { readPassphrase, type Unlock } from '../root-file.ts';
import type { VaultResult } from '../vault/refusal.ts';
import { ACCIDENTS } from './barbican/answers.ts';
import { type ApplicationLogin, type Issued, issueToken } from './barbican/keystone.ts';
import type { BarbicanAddress } from './custody-spec.ts';

/** A Barbican that keeps the DEKs. Without `keystone` it must name a project and lie on loopback: it lets everyone in. */
export type BarbicanOptions = {
  readonly url: string;
  readonly caFile?: string;
  readonly readers?: readonly string[];
} & (
  | { readonly keystone: { readonly url: string; readonly credential: string; readonly secret: Unlock } }
  | { readonly project: string }
);

/** Where Barbican is, and as whom we come. */
export type Place = { readonly address: BarbicanAddress; readonly token?: Buffer };

export type Session = {
  readonly current: () => Promise<VaultResult<Place>>;
  /** Barbican refused this one: another is asked for next. */
  readonly refused: (place: Place) => void;
};

/** Tells at once of a credential that Keystone refuses; a Keystone that is away may come back. */
export async function openSession(
  barbican: BarbicanOptions | undefined,
  holder: TrustDomain,
): Promise<Result<Session | undefined>> {
  if (barbican === undefined) return ok(undefined);
  const ca = await readCa(barbican.caFile);
  if (!ca.ok) return ca;
  const trusted = ca.value === undefined ? {} : { ca: ca.value };
  const address = { url: barbican.url, holder, readers: barbican.readers ?? [], ...trusted };
  if (!('keystone' in barbican)) {
    const place = { address: { ...address, project: barbican.project } };
    return ok({ current: async () => ({ ok: true, value: place }), refused: () => undefined });
  }
  const { url, credential, secret } = barbican.keystone;
  const session = keystoneSession({ url, id: credential, ...trusted }, secret, address);
  const first = await session.current();
  return first.ok || ACCIDENTS.has(first.code) ? ok(session) : withText(first);
}

async function readCa(file: string | undefined): Promise<Result<string | undefined>> {
  if (file === undefined) return ok(undefined);
  try {
    const text = await readFile(file, 'utf8');
    return text.length <= CA_BYTES_MAX ? ok(text) : refusal('CREDENTIAL_UNREADABLE', { about: file });
  } catch {
    return refusal('CREDENTIAL_UNREADABLE', { about: file });
  }
}

/** One token at a time, renewed only when Barbican refuses it: how long it is good for is Keystone's to judge, not our clock's. */
function keystoneSession(login: ApplicationLogin, unlock: Unlock, address: BarbicanAddress): Session {
  let issuing: Promise<VaultResult<Issued>> | undefined;
  let place: Place | undefined;
  const issue = async (): Promise<VaultResult<Issued>> => {
    using wipe = wiper();
    const secret = await readPassphrase(unlock, CREDENTIAL_BYTES_MIN);
    if (!secret.ok) return { ok: false, code: 'CREDENTIAL_UNREADABLE' };
    return await issueToken(login, wipe.keep(secret.value));
  };
  return {
    current: async () => {
      if (place !== undefined) return { ok: true, value: place };
      issuing ??= issue().finally(() => {
        issuing = undefined;
      });
      const issued = await issuing;
      if (!issued.ok) return issued;
      place ??= { address: { ...address, creator: issued.value.user }, token: issued.value.token };
      return { ok: true, value: place };
    },
    refused: (used) => {
      if (place === used) place = undefined;
    },
  };
}
