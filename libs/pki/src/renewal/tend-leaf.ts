import type { Refusal } from '@carnet/trust';
import type { PkiCode } from '../codes.ts';
import { LEAF_LOOK_MS, RENEW_AGAIN_MS_MIN, RENEW_AGAIN_SHARE } from '../limits.ts';
import type { LiveLeaf } from './live-leaf.ts';
import type { renew } from './renew.ts';

export type TendPorts = {
  readonly leaf: LiveLeaf;
  /** Absent: something else replaces the files, and here they are only read again. */
  readonly renew?: () => ReturnType<typeof renew>;
  readonly nowMs: () => number;
  /** The leaf of now is another: whoever holds TLS contexts makes new ones. */
  readonly changed: () => void;
  readonly failed: (refusal: Refusal<PkiCode>) => void;
};

/** Renews a leaf after two thirds of its life, and takes into use whatever new leaf lies in its files, within two seconds. */
export function tendLeaf(ports: TendPorts): { readonly stop: () => Promise<void> } {
  const { leaf, nowMs, changed } = ports;
  let notBeforeMs = 0;
  let work: Promise<void> | undefined;
  const attempt = async (ask: () => ReturnType<typeof renew>): Promise<void> => {
    const renewed = await ask();
    const leftMs = leaf.validity().notAfterMs - nowMs();
    notBeforeMs = nowMs() + Math.max(RENEW_AGAIN_MS_MIN, leftMs * RENEW_AGAIN_SHARE);
    if (!renewed.ok) ports.failed(renewed);
  };
  const look = (): void => {
    if (leaf.look() === 'changed') changed();
    const isDue = nowMs() >= leaf.validity().renewMs && nowMs() >= notBeforeMs;
    if (ports.renew === undefined || !isDue || work !== undefined) return;
    work = attempt(ports.renew)
      .catch((cause: unknown) => {
        notBeforeMs = nowMs() + RENEW_AGAIN_MS_MIN;
        ports.failed({ ok: false, code: 'RENEWAL_REFUSED', text: cause instanceof Error ? cause.message : String(cause) });
      })
      .finally(() => {
        work = undefined;
      });
  };
  const timer = setInterval(look, LEAF_LOOK_MS);
  timer.unref();
  return {
    stop: async () => {
      clearInterval(timer);
      await work;
    },
  };
}
