import type { Digest, MigrationId, Reason } from '@carnet/events';

/** A refusal by rule: a stable code, one sentence, and the reasons behind it. Nothing was changed. */
export interface ServiceRefusal {
  readonly ok: false;
  readonly code: string;
  readonly text: string;
  readonly reasons?: readonly Reason[];
}
export type ServiceResult<T> = { readonly ok: true; readonly value: T } | ServiceRefusal;

export interface IntentAccepted {
  readonly migration: MigrationId;
  /** Digest of the `MigrationIntended` event. */
  readonly digest: Digest;
  /** This very request had been taken before. */
  readonly repeated: boolean;
}
