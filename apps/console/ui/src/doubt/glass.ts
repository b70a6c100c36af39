import {
  type BreakGlassStatement,
  breakGlassStatement,
  type DsseEnvelope,
  type Event,
  type EventOf,
  event,
} from '@carnet/events';
import { parseStrictJson } from '@carnet/trust';
import type { ShownEvent } from '../migration/shown-event.ts';

/** A release that may stay without an answer: what statements about it must name, and who must make them. */
export interface Glass {
  readonly migration: string;
  readonly vm: string;
  readonly epoch: number;
  readonly release: string;
  readonly source: string;
  readonly target: string;
  readonly deadline: string;
  /** Ed25519 key of the VM's owner (base64). Absent: nobody can break it. */
  readonly owner?: string;
}

/** What one of them signed. */
export interface Signed {
  readonly who: string;
  /** Absent: this browser cannot read it. */
  readonly said?: Pick<BreakGlassStatement, 'reason' | 'at' | 'notAfter'>;
  /** Policies of the source that let this person; absent: of the owner, or of a version that did not ask. */
  readonly permittedBy?: string;
}

/** What became of what the target has: nothing is known of it until the target says so. */
export type Copy =
  | { readonly kind: 'unknown' }
  | { readonly kind: 'given-back'; readonly at: string }
  | { readonly kind: 'fenced'; readonly at: string }
  | { readonly kind: 'discarded'; readonly at: string; readonly fencedAt: string; readonly by: string; readonly reason: string };

export interface BrokenGlass {
  readonly at: string;
  readonly by: string;
  readonly opens: number;
  /** When the source's host said that the VM runs there again. */
  readonly resumedAt?: string;
  readonly persons: readonly Signed[];
  readonly owner: Signed;
  readonly copy: Copy;
}

/** An event that counts, and whose signature this browser has checked. */
function found<T extends Event['type']>(
  events: readonly ShownEvent[],
  type: T,
): { event: EventOf<T>; digest: string } | undefined {
  for (const { entry, verdict } of events) {
    if (entry.type !== type || entry.voidCode !== undefined || verdict.kind !== 'valid') continue;
    const said = event.safeParse(verdict.payload).data;
    if (said !== undefined && is(said, type)) return { event: said, digest: entry.digest };
  }
  return undefined;
}
const is = <T extends Event['type']>(said: Event, type: T): said is EventOf<T> => said.type === type;

export function glassOf(events: readonly ShownEvent[]): Glass | undefined {
  const intent = found(events, 'MigrationIntended')?.event;
  const released = found(events, 'KeyReleased');
  if (intent === undefined || released === undefined) return undefined;
  const { vm, source, target, deadline, spec } = intent.data;
  const owner = spec.restrictions?.owner;
  return {
    migration: intent.migration,
    vm,
    epoch: intent.epoch,
    release: released.digest,
    source,
    target,
    deadline,
    ...(owner === undefined ? {} : { owner }),
  };
}

export function brokenGlassOf(events: readonly ShownEvent[], glass: Glass | undefined): BrokenGlass | undefined {
  const broke = found(events, 'BreakGlassResumed')?.event;
  if (broke === undefined) return undefined;
  const { persons, owner, policy = [], opens } = broke.data;
  const resumedAt = found(events, 'SourceResumed')?.event.time;
  return {
    at: broke.time,
    by: broke.publisher,
    opens,
    ...(resumedAt === undefined ? {} : { resumedAt }),
    persons: persons.map(({ principal, envelope }) => {
      const decision = policy.find(({ asked }) => asked.principal === principal);
      return {
        ...signedIn(envelope, principal),
        ...(decision === undefined
          ? {}
          : { permittedBy: `${decision.determining.join(', ')} (set version ${decision.version})` }),
      };
    }),
    owner: signedIn(owner, glass?.owner === undefined ? 'the owner' : `the owner, key ${glass.owner}`),
    copy: copyOf(events),
  };
}

function copyOf(events: readonly ShownEvent[]): Copy {
  const [gone, fenced] = [found(events, 'CopyDiscarded')?.event, found(events, 'CopyFenced')?.event];
  if (gone !== undefined)
    return {
      kind: 'discarded',
      at: gone.time,
      fencedAt: fenced?.time ?? gone.time,
      by: gone.data.by,
      reason: gone.data.reason.text,
    };
  if (fenced !== undefined) return { kind: 'fenced', at: fenced.time };
  const back = found(events, 'MigrationRelinquished')?.event;
  return back === undefined ? { kind: 'unknown' } : { kind: 'given-back', at: back.time };
}

/** What an envelope says; whether its signature is good is the brokers' and the auditor's to judge, who hold certificates. */
export function statementIn({ payload }: DsseEnvelope): BreakGlassStatement | undefined {
  const json = parseStrictJson(Uint8Array.from(atob(payload), (c) => c.charCodeAt(0)));
  return json.ok ? breakGlassStatement.safeParse(json.value).data : undefined;
}

function signedIn(envelope: DsseEnvelope, who: string): Signed {
  const said = statementIn(envelope);
  return said === undefined ? { who } : { who, said };
}
