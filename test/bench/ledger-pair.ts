import { randomBytes } from 'node:crypto';
import {
  type Digest,
  type Draft,
  isMigrationEvent,
  type MigrationEvent,
  migrationId,
  type Timestamp,
  type TrustDomain,
  timestamp,
  uuidv7,
  vmId,
} from '@carnet/events';
import type { EventSigner } from '@carnet/journal';
import { decide, evolve, initialJourney, type Journey, type Proposal, react } from '@carnet/saga';
import { accept, ed25519Verifier, initialLedger, type LedgerState } from '@carnet/trust';
import { type Author, owedAnnouncement, sealDraft } from '../../libs/journal/src/draft.ts';
import { eventRow } from '../../libs/journal/src/stored-event.ts';
import type { EventRow } from '../../libs/journal/src/tables.ts';
import { CSP_A, CSP_B, FIRST_EPOCH, intentData, performed } from '../../libs/saga/src/testing.ts';
import { identity, timeAt } from '../../libs/trust/src/testing/ledger.ts';

/** Migrations under way at once: events of different VMs lie between each other, as in a real ledger. */
const INTERLEAVED = 16;
const ID_RANDOM_BYTES = 10;

const filler = (bytes: number): string => randomBytes(bytes).toString('base64');

/** The saga's own samples are as short as their schemas allow. These members get the lengths that a real broker writes. */
const REAL_LENGTHS: Readonly<Record<string, () => unknown>> = {
  chain: () => [filler(1_150), filler(1_050)],
  publicKey: () => filler(1_216),
  enc: () => filler(1_120),
  ct: () => filler(72),
  payload: () => filler(600),
  sig: () => filler(384),
};

function withRealLengths(proposal: Proposal): Proposal {
  return JSON.parse(JSON.stringify(proposal), (key, value: unknown) => REAL_LENGTHS[key]?.() ?? value);
}

/** Verifies what `identity` of trust's testing signed: it stands in for the X.509 identity, which is asked once in a ledger. */
const verdict = accept({ spkiVerifier: ed25519Verifier(identity.publicKey) });
export const validateChain = () => verdict;

export type PairOptions = {
  readonly signers: Readonly<Record<'a' | 'b', EventSigner>>;
  /** Time of the first event, Unix milliseconds; each event is 1 ms later. */
  readonly startMs: number;
};

/** Two ledgers as they grow: csp-a.example moves one VM after the other to csp-b.example, and both say everything that a broker would. */
export function ledgerPair({ signers, startMs }: PairOptions) {
  let nowMs = startMs;
  const clock = { nowMs: () => nowMs };
  const introduction = { chain: ['AAAA'], signer: identity, notBefore: timeAt(startMs - 1_000) };
  const author = (signer: EventSigner): Author => ({ signer, introduction, clock, random: randomBytes });
  const ledgers = new Map<TrustDomain, { state: LedgerState; readonly author: Author }>([
    [CSP_A, { state: initialLedger(CSP_A, CSP_B), author: author(signers.a) }],
    [CSP_B, { state: initialLedger(CSP_B, CSP_A), author: author(signers.b) }],
  ]);

  const now = (): Timestamp => timestamp.parse(new Date(nowMs).toISOString());

  const seal = (
    self: TrustDomain,
    draft: Draft,
  ): { readonly row: EventRow; readonly event: ReturnType<typeof sealDraft>['event']; readonly digest: Digest } => {
    const ledger = ledgers.get(self);
    if (ledger === undefined) throw new Error(`no ledger of ${self}`);
    nowMs += 1;
    const sealed = sealDraft(ledger.author, ledger.state, draft, () => true, validateChain());
    ledger.state = sealed.state;
    return { row: eventRow(sealed, now()), event: sealed.event, digest: sealed.digest };
  };

  /** What one side says next of a journey; nothing when it waits. */
  const step = (
    journey: Journey,
    self: TrustDomain,
    proposal: Proposal | undefined,
  ): { readonly journey: Journey; readonly row: EventRow } | undefined => {
    if (proposal === undefined) return undefined;
    const decision = decide(journey, self, withRealLengths(proposal), now());
    if (!decision.ok) throw new Error(`${proposal.type}: ${decision.code}`);
    const { row, event, digest } = seal(self, decision.draft);
    if (!isMigrationEvent(event)) throw new Error('a migration was drafted');
    return { journey: evolve(journey, { event, digest }).journey, row };
  };

  const owed = (journey: Journey, self: TrustDomain): Proposal | undefined => {
    const [command] = react(journey, self, now());
    return command && performed(command, now());
  };

  return {
    states: (): readonly LedgerState[] => [...ledgers.values()].map(({ state }) => state),
    announcements: (): readonly EventRow[] =>
      [...ledgers].flatMap(([self, { author: by, state }]) => {
        const draft = owedAnnouncement(by, state);
        return draft === undefined ? [] : [seal(self, draft).row];
      }),
    /** Migrations, interleaved; each ends, or stops before the first event of type `until`. */
    *migrations(count: number, until?: MigrationEvent['type']): Generator<EventRow> {
      const open: Journey[] = [];
      for (let begun = 0; begun < count || open.length > 0; ) {
        if (begun < count && open.length < INTERLEAVED) {
          begun += 1;
          const opened = step(...opening(now()));
          if (opened !== undefined) {
            yield opened.row;
            open.push(opened.journey);
          }
          continue;
        }
        for (const [index, journey] of [...open.entries()].toReversed()) {
          const [self, proposal] = [CSP_A, CSP_B]
            .map((csp) => [csp, owed(journey, csp)] as const)
            .find(([, next]) => next !== undefined) ?? [CSP_A, undefined];
          const next = proposal?.type === until ? undefined : step(journey, self, proposal);
          if (next === undefined) open.splice(index, 1);
          else {
            open[index] = next.journey;
            yield next.row;
          }
        }
      }
    },
  };
}

const newUuid = (nowMs: number): string => uuidv7(nowMs, randomBytes(ID_RANDOM_BYTES));

/** A VM of its own for each migration: whose journey is longer costs more to fold, and most VMs move once. */
function opening(at: Timestamp): readonly [Journey, TrustDomain, Proposal] {
  const nowMs = Date.parse(at);
  const vm = vmId.parse(`${CSP_A}/${newUuid(nowMs)}`);
  const data = { ...intentData('cold', CSP_A, CSP_B, at), vm };
  return [
    initialJourney(vm),
    CSP_A,
    { type: 'MigrationIntended', migration: migrationId.parse(newUuid(nowMs)), epoch: FIRST_EPOCH, data },
  ];
}
