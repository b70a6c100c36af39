import type { TrustDomain } from '@carnet/events';
import type { Journal } from '@carnet/journal';
import { CRL_RECHECK_MS, type TrustStore } from '@carnet/pki';
import type { Log } from '@carnet/runtime';

export interface WatchPorts {
  readonly journal: Pick<Journal, 'peers' | 'standing'>;
  readonly trust: () => TrustStore;
  /** The revocation lists are not what they were. */
  readonly changed: () => void;
  readonly log: Log;
}

/**
 * Looks at the revocation lists whether or not anything asks for them, so that a peer that was revoked is known within seconds.
 * Refusing it is not done here: whoever uses a certificate judges it.
 */
export function watchPeers({ journal, trust, changed, log }: WatchPorts): { readonly stop: () => Promise<void> } {
  const said = new Map<TrustDomain, string>();
  let seen = trust().crls;
  let look: Promise<void> | undefined;

  const judge = async (peer: TrustDomain): Promise<void> => {
    const verdict = await journal.standing(peer);
    const code = verdict === undefined || verdict.ok ? 'good' : verdict.code;
    if (code === (said.get(peer) ?? 'good')) return;
    said.set(peer, code);
    if (code === 'good') log.info({ peer }, 'the certificate of the peer is good again');
    else log.error({ peer, code }, 'the certificate of the peer is not good');
  };
  const lookAtAll = async (): Promise<void> => {
    const { crls } = trust();
    if (crls !== seen) changed();
    seen = crls;
    for (const peer of journal.peers) await judge(peer);
  };
  const timer = setInterval(() => {
    // A database that does not answer must not gather looks.
    look ??= lookAtAll()
      .catch((cause: unknown) => log.warn({ err: cause }, 'could not judge the peers'))
      .finally(() => {
        look = undefined;
      });
  }, CRL_RECHECK_MS);
  timer.unref();
  return {
    stop: async () => {
      clearInterval(timer);
      await look;
    },
  };
}
