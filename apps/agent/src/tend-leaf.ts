import type { Log } from '@carnet/hypervisor';
import { type LiveLeaf, type TlsMaterial, tendOwnLeaf } from '@carnet/pki';
import type { BusService } from './bus.ts';
import type { AgentConfig } from './config.ts';

/** Renews the agent's leaf in time. A new one is introduced by a hello, before any answer is signed by it. */
export const tendAgentLeaf = (
  { domain, identity, renewal }: Pick<AgentConfig, 'domain' | 'identity' | 'renewal'>,
  leaf: LiveLeaf,
  tls: TlsMaterial,
  service: Pick<BusService, 'greet'>,
  log: Log,
): { readonly stop: () => Promise<void> } =>
  tendOwnLeaf({
    leaf,
    files: identity,
    domain,
    url: renewal?.url,
    tls,
    nowMs: Date.now,
    changed: () => void service.greet(),
    log,
  });
