import { tendOwnLeaf } from '@carnet/pki';
import type { Ground } from './ground.ts';
import type { Doors } from './http/open-doors.ts';

/** Renews the broker's leaf in time, and takes a new one into use everywhere at once, whoever put it there. */
export const tendBrokerLeaf = (
  { config, identity, tls, nowMs, log }: Ground,
  doors: Pick<Doors, 'refresh'>,
  tellHosts: () => void,
): { readonly stop: () => Promise<void> } =>
  tendOwnLeaf({
    leaf: identity.leaf,
    files: config.identity,
    domain: config.domain,
    url: config.renewal?.url,
    tls,
    nowMs,
    changed: () => {
      tellHosts();
      doors.refresh();
    },
    log,
  });
