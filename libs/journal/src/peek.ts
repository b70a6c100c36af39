import { type Digest, EVENT_BYTES_MAX, placement, type Seq, type Timestamp } from '@carnet/events';
import { sha256Hex } from '@carnet/trust';
import { payloadOf } from './stored-event.ts';

/**
 * What an envelope claims, read before anything vouches for it. Decides which rows are looked up and which envelopes are tried
 * together, never what is placed: `admit` reads the bytes again, strictly.
 */
export type Peek = {
  readonly digest: Digest;
  readonly id?: string;
  readonly seq?: Seq;
  readonly prev?: Digest;
  readonly causes: readonly Digest[];
  /** Of a `KeyAnnounced` or `KeyRevoked`: its chain is validated before `admit`, which cannot wait. */
  readonly chain?: readonly string[];
  readonly time?: Timestamp;
};

export function peek(envelope: Uint8Array): Peek {
  const digest = sha256Hex(envelope);
  if (envelope.length > EVENT_BYTES_MAX) return { digest, causes: [] };
  const payload = readable(envelope);
  const claimed = placement.safeParse(payload).data;
  if (claimed === undefined) return { digest, causes: [] };
  const { id, seq, prev, causes, time } = claimed;
  return { digest, id, seq, prev, causes, time, ...chainOf(claimed.type, payload) };
}

function readable(envelope: Uint8Array): unknown {
  try {
    return payloadOf(envelope);
  } catch {
    // `admit` says what is wrong with it.
    return undefined;
  }
}

function chainOf(type: string, payload: unknown): { readonly chain?: readonly string[] } {
  if (type !== 'KeyAnnounced' && type !== 'KeyRevoked') return {};
  if (typeof payload !== 'object' || payload === null || !('data' in payload)) return {};
  const { data } = payload;
  if (typeof data !== 'object' || data === null || !('chain' in data) || !Array.isArray(data.chain)) return {};
  return data.chain.every((der) => typeof der === 'string') ? { chain: data.chain } : {};
}
