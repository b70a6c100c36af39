import { done, refused, type SecretOpener, setBack } from '@carnet/hypervisor';
import { openForHost } from '@carnet/keys';

/**
 * Opens secrets with the transport key of this run of the agent, which is made at its start and lives in memory only: whoever
 * records the bus and later takes the host finds nothing to open it with.
 */
export const secretOpener =
  (privateKey: Uint8Array): SecretOpener =>
  async ({ key, sealed }, context) => {
    const opened = await openForHost(privateKey, context, parseJson(Buffer.from(sealed, 'base64').toString('utf8')));
    if (!opened.ok) return setBack(refused('SECRET_REFUSED', `(${opened.code})`));
    const [first, ...others] = opened.value;
    for (const other of others) other.dek.fill(0);
    if (first === undefined) return setBack(refused('SECRET_REFUSED'));
    // One blob, one key, and the one that the command says: another key must not slip in under its name.
    if (first.key === key && others.length === 0) return done(first.dek);
    first.dek.fill(0);
    return setBack(refused('SECRET_REFUSED', 'Another key was sealed than the command names.'));
  };

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
