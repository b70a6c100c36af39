import type { TrustDomain } from '@carnet/events';
import { wiper } from '../bytes.ts';
import type { Operation } from '../child/operation.ts';
import { CHECK_CUSTODY } from '../child/operations.ts';
import { type KeyProcess, startKeyProcess } from '../child/pool.ts';
import { spawnChild, spawnTokenChild } from '../child/spawn.ts';
import { closingOnFailure } from '../closing.ts';
import { CODES } from '../codes.ts';
import { OPERATION_MS_MAX, PIN_BYTES_MIN, REMOTE_OPERATION_MS_MAX } from '../limits.ts';
import { withText } from '../ports.ts';
import { KeysError, ok, type Result } from '../result.ts';
import { openRootFile, readPassphrase, type Unlock } from '../root-file.ts';
import type { VaultResult } from '../vault/refusal.ts';
import { ACCIDENTS } from './barbican/answers.ts';
import { type BarbicanClient, barbicanClient } from './barbican/client.ts';
import { encodeCustody, type TokenRoot } from './custody-spec.ts';
import { type BarbicanOptions, openSession, type Place, type Session } from './session.ts';

/** What wraps tenant KEKs: a sealed file's key, or one that stays in a PKCS#11 token. */
export type KeyRoot =
  | { readonly kind: 'file'; readonly path: string; readonly unlock: Unlock }
  | (TokenRoot & { readonly pin: Unlock });

export type CustodyOptions = {
  readonly root: KeyRoot;
  readonly barbican?: BarbicanOptions;
  readonly holder: TrustDomain;
  /** Default: child processes of this lib. */
  readonly process?: KeyProcess;
};

/** The service's way to the keys: it holds what opens them, and sends it with each operation to a child. */
export type KeyService = {
  readonly call: <I, O>(operation: Operation<I, O>, input: I) => Promise<Result<O>>;
  /** Asks Barbican about secrets, never for one; `undefined` without Barbican. */
  readonly barbican?: <T>(work: (client: BarbicanClient, holder: TrustDomain) => Promise<VaultResult<T>>) => Promise<Result<T>>;
  readonly close: () => void;
};

/** Children that may do what this root needs, and wait for what DEKs need. */
export function keyProcessFor({ root, barbican }: Pick<CustodyOptions, 'root' | 'barbican'>): KeyProcess {
  const spawn = root.kind === 'pkcs11' ? spawnTokenChild : spawnChild;
  return startKeyProcess(spawn, { timeoutMs: barbican === undefined ? OPERATION_MS_MAX : REMOTE_OPERATION_MS_MAX });
}

export async function openKeyService(options: CustodyOptions): Promise<Result<KeyService>> {
  const process = options.process ?? keyProcessFor(options);
  return closingOnFailure(process.close, () => openWith(options, process));
}

async function openWith(options: CustodyOptions, process: KeyProcess): Promise<Result<KeyService>> {
  const session = await openSession(options.barbican, options.holder);
  if (!session.ok) return session;
  const secret = await rootSecret(options.root, process);
  if (!secret.ok) return secret;
  const service = keyService(options.root, secret.value, session.value, process);
  return closingOnFailure(service.close, async () => {
    const checked = await service.call(CHECK_CUSTODY, null);
    return checked.ok ? ok(service) : checked;
  });
}

/** The root key, or the PIN of the token that has it. */
const rootSecret = (root: KeyRoot, process: KeyProcess): Promise<Result<Buffer>> =>
  root.kind === 'file'
    ? openRootFile({ path: root.path, unlock: root.unlock, process })
    : readPassphrase(root.pin, PIN_BYTES_MIN);

function keyService(root: KeyRoot, secret: Buffer, session: Session | undefined, process: KeyProcess): KeyService {
  const described = root.kind === 'file' ? ({ kind: 'key' } as const) : withoutPin(root);
  /** A token that Barbican refuses is renewed once: revoked, or at its end. */
  const persistently = async <T>(work: (place: Place | undefined) => Promise<VaultResult<T>>, tries = 2): Promise<Result<T>> => {
    const place = await session?.current();
    if (place?.ok === false) return decided(place);
    const result = await work(place?.value);
    if (result.ok || result.code !== 'BARBICAN_UNAUTHORIZED' || place === undefined || tries === 1) return decided(result);
    session?.refused(place.value);
    return persistently(work, tries - 1);
  };
  const barbican: KeyService['barbican'] = (work) =>
    persistently(async (place) =>
      place === undefined
        ? { ok: false, code: 'BARBICAN_NOT_CONFIGURED' }
        : await work(barbicanClient(place.address, place.token), place.address.holder),
    );
  return {
    call: (operation, input) =>
      persistently(async (place) => {
        using wipe = wiper();
        const { address, token } = place ?? {};
        const custody = encodeCustody({
          root: described,
          rootSecret: secret,
          ...(address === undefined ? {} : { barbican: address }),
          ...(token === undefined ? {} : { token }),
        });
        return await process.call(operation, input, wipe.keep(custody));
      }),
    ...(session === undefined ? {} : { barbican }),
    close: () => {
      process.close();
      secret.fill(0);
    },
  };
}

export const withoutPin = ({ pin: _pin, ...token }: TokenRoot & { readonly pin: Unlock }): TokenRoot => token;

/** Accidents throw, so that the caller tries again; refusals are values. */
function decided<T>(result: VaultResult<T>): Result<T> {
  if (!result.ok && ACCIDENTS.has(result.code)) throw new KeysError(result.code, CODES[result.code].text, { retryable: true });
  return withText(result);
}
