import type { DsseEnvelope, MigrationMode, Reason, RekeyMethod } from '@carnet/events';
import type { Signer } from '@carnet/trust';
import type { Answer } from './answer.ts';
import type { BrokerClient } from './client.ts';

/** What a scheduler asks for. Give `id` (UUIDv7) to make repeats of one wish the same wish across restarts of the scheduler. */
export interface Wish {
  readonly id?: string;
  /** `<home domain>/<uuid>` */
  readonly vm: string;
  /** Trust domain of the CSP that shall run it. */
  readonly target: string;
  readonly mode: MigrationMode;
  /** The least that the target must do to the volumes before it runs the VM; absent: what both CSPs' policies ask. */
  readonly rekey?: RekeyMethod;
  /** RFC 3339, UTC, milliseconds: no offer counts after it. */
  readonly notAfter?: string;
  readonly reason?: string;
  /** The owner's consent, if the VM has an owner. */
  readonly consent?: DsseEnvelope;
}

export interface Accepted {
  /** The migration's id: ask for its state with it. */
  readonly id: string;
  /** SHA-256 of the `MigrationIntended` event's envelope. */
  readonly digest: string;
  readonly repeated: boolean;
}

export interface PublisherOptions {
  readonly broker: Pick<BrokerClient, 'post'>;
  /** With it each wish is signed by the scheduler itself, and peer and auditor can check that; without, the broker vouches for who asked. */
  readonly identity?: { readonly signer: Signer; readonly certificate: string };
  /** Clock, in Unix milliseconds. */
  readonly nowMs: () => number;
  /** This many random bytes: ids of wishes that have none. */
  readonly random: (n: number) => Uint8Array;
}

/** What a migration would do. */
export interface Plan {
  readonly epoch: number;
  /** What is to be carried, at most: the disks as they lie on the host, and the memory where it travels too. */
  readonly bytes: number;
  /** How long the guest will stand still: an estimate, which rests on `basis`. 0 when it does not run. */
  readonly stopSeconds: number;
  readonly basis: {
    readonly state: string;
    readonly diskBytes: number;
    /** `host`: as the host reports them; `capacity`: their sizes, because the host did not answer. */
    readonly diskBytesFrom: 'host' | 'capacity';
    readonly memoryBytes: number;
    readonly rate: {
      readonly basis: 'measured' | 'assumed';
      readonly bytesPerSecond: number;
      readonly aroundSeconds: number;
      /** Finished moves with this peer that were measured, and the largest of them in bytes. */
      readonly moves: number;
      readonly largestBytes: number;
    };
  };
  /** What the own side would stumble over, as far as it shows without trying. */
  readonly warnings: readonly Reason[];
  readonly policy: {
    readonly source: { readonly allowed: boolean; readonly reasons: readonly Reason[] };
    readonly target: string;
  };
  readonly steps: readonly { readonly side: string; readonly step: string; readonly undo: string }[];
}

export interface Publisher {
  /** Safe to repeat with the same `id`. Refusals come back as values with stable codes. */
  readonly intend: (wish: Wish) => Promise<Answer<Accepted>>;
  /** The same wish, only looked at: nothing is changed, and the peer is not asked. */
  readonly plan: (wish: Wish) => Promise<Answer<Plan>>;
  /** An id for a wish: keep it before asking. */
  readonly newId: () => Promise<string>;
}

const CONTENT_TYPE = 'application/cloudevents+json';

interface Taken {
  readonly migration: string;
  readonly digest: string;
  readonly repeated: boolean;
}

// The event language takes longer to load than most readers of a broker run: it comes with the first wish.
const language = () => import('./intent-event.ts');

/** The publisher's side of `POST /v1/intents`. */
export function createPublisher(options: PublisherOptions): Publisher {
  const newId = async (): Promise<string> => (await language()).newWishId(options);
  const ask = async <T>(path: string, wish: Wish, identity: PublisherOptions['identity']): Promise<Answer<T>> => {
    const { requestOf, cloudEventOf } = await language();
    const request = requestOf(wish, wish.id ?? (await newId()));
    if (!request.ok) return request;
    return options.broker.post<T>(path, cloudEventOf(request.value, identity === undefined ? {} : { identity }), CONTENT_TYPE);
  };
  return {
    intend: async (wish) => {
      const answer = await ask<Taken>('/v1/intents', wish, options.identity);
      if (!answer.ok) return answer;
      const { migration, digest, repeated } = answer.value;
      return { ok: true, value: { id: migration, digest, repeated } };
    },
    // A plan is worth no signature: nothing of it is kept.
    plan: (wish) => ask<Plan>('/v1/plans', wish, undefined),
    newId,
  };
}
