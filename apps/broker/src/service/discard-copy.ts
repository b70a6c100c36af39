import type { Digest } from '@carnet/events';
import type { MigrationState } from '@carnet/saga';
import type { Hosts } from '../hosts/steps.ts';
import type { Inventory } from '../inventory.ts';
import { DEK_VERSION, type HandoverKeys } from '../keys/handover-keys.ts';
import type { Ledgers } from '../ledgers.ts';
import { receiptOf } from '../perform/receipt.ts';
import { reasonOf } from '../reason.ts';
import type { IntakePorts } from './intake.ts';
import type { ServiceRefusal, ServiceResult } from './result.ts';

export interface DiscardPorts extends Pick<IntakePorts, 'self' | 'nowMs'> {
  readonly ledgers: Ledgers;
  readonly hosts: Pick<Hosts, 'step'>;
  readonly keys: Pick<HandoverKeys, 'discardImported'>;
  readonly inventory: Pick<Inventory, 'remove'>;
}

const ASK_AGAIN_MS = 200;
const DISCARD_MS_MAX = 60_000;

const refuse = (code: string, text: string): ServiceRefusal => ({ ok: false, code, text });

/**
 * An operator gives up the copy that was fenced after the source broke the glass: nothing of it is left here, and the ledger says by
 * whom. Every step is idempotent, so after a crash the operator asks again.
 */
export async function discardCopy(
  ports: DiscardPorts,
  m: MigrationState,
  principal: string,
  text: string,
): Promise<ServiceResult<{ readonly digest: Digest }>> {
  const { MigrationOffered: offer, CopyFenced: fenced, CopyDiscarded: discarded } = m.facts;
  if (m.target !== ports.self) return refuse('DISCARD_NOT_OURS', `the target is ${m.target}`);
  if (discarded !== undefined) return { ok: true, value: { digest: discarded.digest } };
  if (offer === undefined || fenced === undefined)
    return refuse('COPY_NOT_FENCED', 'no copy of this VM was stopped here because its source took it back');
  const of = { host: offer.data.agent.host, vm: m.vm, migration: m.id, epoch: m.epoch, because: fenced.digest };
  const untilMs = ports.nowMs() + DISCARD_MS_MAX;
  for (;;) {
    const destroyed = await ports.hosts.step(of, 'destroy', async () => ({}));
    if (destroyed.kind === 'refused' || destroyed.kind === 'failed') return refuse(destroyed.code, destroyed.text);
    if (destroyed.kind === 'done') {
      const { result, evidence } = destroyed;
      const proposed = await ports.ledgers.propose(m.vm, m.source, async (tx) => {
        const keys = await ports.keys.discardImported(tx.db, { migration: m.id, epoch: m.epoch });
        await ports.inventory.remove(tx.db, m.vm);
        const receipt = receiptOf({
          keys: keys.map((key) => ({ key, version: DEK_VERSION })),
          artifacts: result.artifacts,
          fates: result.fates,
          evidence,
        });
        const data = { fenced: fenced.digest, by: principal, reason: reasonOf('COPY_DISCARDED', text), receipt };
        return { type: 'CopyDiscarded', migration: m.id, data };
      });
      return proposed.ok ? { ok: true, value: { digest: proposed.digest } } : refuse(proposed.code, proposed.text);
    }
    if (ports.nowMs() > untilMs) return refuse('HOST_UNAVAILABLE', 'the host is still at it; ask again');
    await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
  }
}
