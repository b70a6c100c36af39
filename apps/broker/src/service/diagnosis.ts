import type { MigrationId, Timestamp, TrustDomain } from '@carnet/events';
import type { PeerState } from '@carnet/journal';
import type { FindingCode } from '@carnet/publisher';
import {
  ADVICE,
  breakGlassFrom,
  type Diagnosis,
  diagnose,
  epochAfter,
  haveBothRun,
  isSplitSuspected,
  type Journey,
  type MigrationState,
  summarize,
  TASKS,
} from '@carnet/saga';
import type { Failure } from '../failures.ts';
import { peerStateOf } from './readings.ts';

/** Something that stands in a migration's way, as far as this CSP can see it. */
export interface Finding {
  readonly code: FindingCode;
  readonly text: string;
}
/** Who must act, in words. `givesUpAt`: absent where no time takes the decision away from that side. */
export interface TurnRow {
  readonly domain: TrustDomain;
  readonly must: readonly string[];
  readonly givesUpAt?: Timestamp;
}

export interface DiagnosisRow {
  readonly migration: MigrationId;
  readonly vm: string;
  readonly phase: string;
  readonly standing: Diagnosis['standing'];
  readonly meaning: string;
  /** The last event of either side. */
  readonly since?: Timestamp;
  /** The key is out, and nobody has taken the VM since. */
  readonly exposedSince?: Timestamp;
  readonly turns: readonly TurnRow[];
  readonly findings: readonly Finding[];
  readonly safe: readonly string[];
  readonly unsafe: readonly string[];
}

/** What only this replica knows beside the ledgers. */
export interface Surroundings {
  readonly self: TrustDomain;
  readonly now: Timestamp;
  readonly peer: PeerState | undefined;
  readonly hostsSilent: readonly string[];
  readonly lastFailure: Failure | undefined;
  /** This CSP's policies permit nobody to break a glass. */
  readonly isGlassUnpermitted: boolean;
}

/** Beyond the instant at which a side gives up by itself, ms: until then it may just be doing so. */
export const OVERDUE_AFTER_MS = 60_000;

/** Where it stands, who must act, and what is safe: from the ledgers, and from what this broker sees of its peer and hosts. */
export function diagnosisRow(journey: Journey, m: MigrationState, around: Surroundings): DiagnosisRow {
  const found = diagnose(journey, m, around.now);
  const { phase, exposedSince } = summarize(m);
  return {
    migration: m.id,
    vm: m.vm,
    phase,
    standing: found.standing,
    ...ADVICE[found.standing],
    ...(found.since === undefined ? {} : { since: found.since }),
    ...(exposedSince === undefined ? {} : { exposedSince }),
    turns: found.turns.map(({ csp, owes, givesUpAt }) => ({
      domain: csp,
      must: owes.map((task) => TASKS[task]),
      ...(givesUpAt === undefined ? {} : { givesUpAt }),
    })),
    findings: found.turns.length === 0 && !isSplitSuspected(m) ? [] : findingsOf(m, found, around),
  };
}

function findingsOf(m: MigrationState, found: Diagnosis, around: Surroundings): readonly Finding[] {
  return [
    ...alarming(m, found, around.now).map(({ code, text }) => ({ code, text })),
    ...peerFindings(around),
    ...glassFindings(m, around),
    ...hostFindings(found, around),
    ...failureFindings(around),
  ];
}

/** A finding that somebody should be called for: by the ledgers alone, whatever the surroundings. */
export interface Alarming extends Finding {
  readonly code: 'IN_DOUBT' | 'OVERDUE' | 'SPLIT_SUSPECTED' | 'BOTH_RAN';
  readonly since: Timestamp;
}

/** What alarms in a migration at `now`; nothing once both sides have ended. A split waits for people, whom nothing else reminds. */
export const alarmingIn = (journey: Journey, m: MigrationState, now: Timestamp): readonly Alarming[] => {
  const found = diagnose(journey, m, now);
  return found.turns.length === 0 && !isSplitSuspected(m) ? [] : alarming(m, found, now);
};

const alarming = (m: MigrationState, found: Diagnosis, now: Timestamp): readonly Alarming[] => [
  ...inDoubt(m, now),
  ...bothRan(m),
  ...split(m),
  ...overdue(found, now),
];

/** 0 for what lies ahead. */
export const secondsBetween = (from: Timestamp, to: Timestamp): number =>
  Math.max(0, Math.round((Date.parse(to) - Date.parse(from)) / 1_000));

function inDoubt(m: MigrationState, now: Timestamp): readonly Alarming[] {
  const since = summarize(m).exposedSince;
  if (since === undefined) return [];
  const text = `neither side has run the VM by the ledgers for ${secondsBetween(since, now)} s (since ${since})`;
  return [{ code: 'IN_DOUBT', text: `${text}${lastResort(m)}`, since }];
}

const hasAnswered = ({ targetPhase }: MigrationState): boolean => targetPhase === 'imported' || targetPhase === 'replaced';
const ownerOf = ({ facts }: MigrationState): string | undefined => facts.MigrationIntended?.data.spec.restrictions?.owner;

/** From when on people may take it back, who must sign, and that there is a risk: said while there is still time to get ready. */
function lastResort(m: MigrationState): string {
  const from = breakGlassFrom(m);
  if (hasAnswered(m) || from === undefined) return '';
  return ownerOf(m) === undefined
    ? '; the VM names no owner, so nobody can break the glass'
    : `; after ${from} two operators of ${m.source} and the VM’s owner may break the glass (carnet migration break-glass), at the risk that it runs twice`;
}

/** No suspicion any more: both signed it. Which copy is the VM is decided by the epoch, and said. */
function bothRan(m: MigrationState): readonly Alarming[] {
  const { VmStarted: started, SourceResumed: resumed, CopyFenced: fenced } = m.facts;
  if (started === undefined || resumed === undefined || !isSplitSuspected(m) || !haveBothRun(m)) return [];
  const stopped = fenced === undefined ? 'is not known to be stopped yet' : `was stopped at ${fenced.time} and is kept`;
  const text =
    `both ran the VM: ${m.target} from ${started.time}, ${m.source} again from ${resumed.time}; the VM is the copy of ` +
    `epoch ${epochAfter(m)} at ${m.source}; that of epoch ${m.epoch} at ${m.target} ${stopped}: what it wrote is nowhere else`;
  return [{ code: 'BOTH_RAN', text, since: resumed.time }];
}

function split(m: MigrationState): readonly Alarming[] {
  const since = m.facts.BreakGlassResumed?.time;
  if (since === undefined || !isSplitSuspected(m)) return [];
  const what =
    m.facts.CopyFenced === undefined
      ? 'has not said yet that its copy is stopped'
      : 'keeps its stopped copy until it is discarded';
  return [
    { code: 'SPLIT_SUSPECTED', text: `${m.source} took the VM back without an answer at ${since}; ${m.target} ${what}`, since },
  ];
}

function overdue({ turns }: Diagnosis, now: Timestamp): readonly Alarming[] {
  return turns.flatMap(({ csp, givesUpAt: since }): readonly Alarming[] => {
    if (since === undefined || Date.parse(now) - Date.parse(since) < OVERDUE_AFTER_MS) return [];
    return [{ code: 'OVERDUE', text: `${csp} should have given up at ${since}; it has not, or its word has not come`, since }];
  });
}

function peerFindings({ peer, now }: Surroundings): readonly Finding[] {
  if (peer === undefined) return [];
  const { own, received } = peer;
  const unheard = Number(own.head?.seq ?? 0) - own.coveredSeq;
  const missing = peer.claimedSeq - Number(received.head?.seq ?? 0);
  return [
    ...stateFindings(peer, now),
    ...(unheard > 0
      ? [{ code: 'EVENTS_NOT_ACKNOWLEDGED', text: `${peer.peer} has not acknowledged our last ${unheard} events` } as const]
      : []),
    ...(missing > 0
      ? [{ code: 'EVENTS_MISSING', text: `${peer.peer} has signed ${missing} events that have not come here` } as const]
      : []),
  ];
}

function stateFindings(peer: PeerState, now: Timestamp): readonly Finding[] {
  const state = peerStateOf(peer, Date.parse(now));
  switch (state) {
    case 'ready':
      return [];
    case 'silent':
      return [{ code: 'PEER_SILENT', text: `${peer.peer} was last heard ${peer.heardAt ?? 'never'}` }];
    case 'frozen':
      return [{ code: 'PEER_FROZEN', text: `the ledgers with ${peer.peer} contradict each other: nothing new is begun with it` }];
    case 'quarantined':
      if (peer.own.lostSeq !== undefined)
        return [
          {
            code: 'EVENTS_LOST',
            text: `this CSP has told ${peer.peer} events up to ${peer.own.lostSeq}, holds them up to ${peer.own.head?.seq ?? '0'}, and finds no more`,
          },
        ];
      return [
        {
          code: 'QUARANTINED',
          text: `this CSP’s database is behind what it had published: it appends nothing until ${peer.peer} has answered`,
        },
      ];
  }
}

/** While there is still time to change the set; of the source alone, whose policies are asked. */
function glassFindings(m: MigrationState, { self, isGlassUnpermitted }: Surroundings): readonly Finding[] {
  const isOurs = m.source === self && summarize(m).exposedSince !== undefined;
  return isGlassUnpermitted && isOurs && !hasAnswered(m) && ownerOf(m) !== undefined
    ? [{ code: 'GLASS_UNPERMITTED', text: 'no policy of this CSP permits anybody to break the glass' }]
    : [];
}

/** Only where our own side must act: whoever waits for the peer need not be told of our hosts. */
const hostFindings = ({ turns }: Diagnosis, { self, hostsSilent }: Surroundings): readonly Finding[] =>
  turns.some(({ csp }) => csp === self)
    ? hostsSilent.map((host) => ({ code: 'HOST_SILENT', text: `the agent of host ${host} is not heard` }))
    : [];

const failureFindings = ({ lastFailure }: Surroundings): readonly Finding[] =>
  lastFailure === undefined
    ? []
    : [
        {
          code: 'LAST_ATTEMPT_FAILED',
          text: `${lastFailure.at} ${lastFailure.command} ${lastFailure.code}: ${lastFailure.text}; it is tried again`,
        },
      ];
