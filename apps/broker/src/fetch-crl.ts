import { fetchCrl, keepCrl, readCertificate } from '@carnet/pki';
import type { Ground } from './ground.ts';

/** A revocation at our own issuing authority is known here after this long at most, in ms. */
const FETCH_MS = 30_000;

/**
 * Brings our own CSP's CRL from its issuing service into the folder, from where hosts are told it. Lists of the root and of peers come by
 * other means. What cannot be fetched changes nothing: the list that is here ages, and then everything fails closed.
 */
export function fetchOwnCrl({ config, identity, tls, log }: Pick<Ground, 'config' | 'identity' | 'tls' | 'log'>): {
  readonly stop: () => Promise<void>;
} {
  const url = config.renewal?.url;
  if (url === undefined) return { stop: async () => undefined };
  const { domain } = config;
  let said = '';
  const fetchOnce = async (): Promise<void> => {
    const issuer = readCertificate(Uint8Array.from(Buffer.from(identity.leaf.chain[1] ?? '', 'base64')));
    const fetched = issuer.ok ? await fetchCrl({ url, domain, material: tls }) : issuer;
    const kept =
      issuer.ok && fetched.ok
        ? keepCrl(config.trust.crlDirectory, { domain, issuer: issuer.value.subject }, fetched.value)
        : fetched;
    const code = kept.ok ? '' : kept.code;
    if (!kept.ok && code !== said) log.warn({ code, got: kept.got }, 'our own revocation list is not brought up to date');
    said = code;
  };
  let work: Promise<void> = Promise.resolve();
  const look = (): void => {
    work = work.then(fetchOnce).catch((cause: unknown) => log.warn({ err: cause }, 'our own revocation list could not be kept'));
  };
  look();
  const timer = setInterval(look, FETCH_MS);
  timer.unref();
  return {
    stop: async () => {
      clearInterval(timer);
      await work;
    },
  };
}
