import { type Digest, type Event, PAYLOAD_TYPES, type Placement, placement, type Seq, type Timestamp } from '@carnet/events';
import {
  type Admission,
  admit,
  appendLeaf,
  emptyTree,
  eventLeaf,
  initialLedger,
  type LedgerState,
  type MerkleTree,
  openEnvelope,
  parseStrictJson,
  positionOf,
  seqOf,
  treeRoot,
  type ValidateChain,
} from '@carnet/trust';
import type { Finding } from '../report.ts';
import { type Candidate, type LedgerCopies, type Reader, readerOf, readPosition } from './copies.ts';
import { divergenceOf } from './divergence.ts';

export type PlacedEvent = {
  readonly digest: Digest;
  readonly payload: Placement;
  readonly event: Event | undefined;
  readonly voidCode?: string;
};

/** What came of reading one more position. `blocked`: it cites an event of the other ledger that was not placed yet. */
export type Advance =
  | ({ readonly kind: 'placed' } & PlacedEvent)
  | { readonly kind: 'blocked'; readonly cause: Digest }
  | { readonly kind: 'ended' }
  | { readonly kind: 'diverged'; readonly divergence: Finding };

export type ReplayRules = { readonly validateChain: ValidateChain; readonly nowMs: number };

/**
 * Replays one ledger through the very admission that brokers use, all its copies side by side. Holds digests and ids, never
 * envelopes. A class because it is the one place of an audit that remembers.
 */
export class LedgerReplay {
  readonly ledger: LedgerCopies;
  readonly readers: readonly Reader[];
  #state: LedgerState;
  readonly #rules: ReplayRules;
  readonly #digests: Digest[] = [];
  readonly #positions = new Map<Digest, number>();
  readonly #ids = new Set<string>();
  #parked: { readonly candidates: readonly Candidate[]; readonly cause: Digest } | undefined;
  #divergence: Finding | undefined;
  #issuers: readonly string[] = [];
  #tree: MerkleTree = emptyTree;
  readonly #marks: ReadonlySet<number>;
  readonly #roots = new Map<number, string>();

  /** @param marks sizes at which the root of the ledger's RFC 6962 tree is wanted */
  constructor(ledger: LedgerCopies, rules: ReplayRules, marks: ReadonlySet<number> = new Set()) {
    this.ledger = ledger;
    this.readers = ledger.copies.map(readerOf);
    this.#state = initialLedger(ledger.publisher, ledger.audience);
    this.#rules = rules;
    this.#marks = marks;
  }

  get state(): LedgerState {
    return this.#state;
  }
  /** Intermediates of the publisher, in base64 DER, as its last key announcement showed and admission judged them. */
  get issuers(): readonly string[] {
    return this.#issuers;
  }
  get divergence(): Finding | undefined {
    return this.#divergence;
  }
  /** Events placed. */
  get placed(): number {
    return this.#digests.length;
  }
  /** Root of the tree of the first `size` envelopes, hex; of the marks that were reached. */
  rootAt(size: number): string | undefined {
    return this.#roots.get(size);
  }
  /** Position of a placed event; `undefined` if it is not placed here. */
  positionOf(digest: Digest): number | undefined {
    return this.#positions.get(digest);
  }

  /** Judges the next position. After a divergence the ledger is read no further: what follows was signed on top of it. */
  async advance(other: LedgerReplay): Promise<Advance> {
    if (this.#divergence !== undefined) return { kind: 'diverged', divergence: this.#divergence };
    const parked = this.#parked;
    if (parked !== undefined && other.positionOf(parked.cause) === undefined) return { kind: 'blocked', cause: parked.cause };
    const candidates = parked?.candidates ?? (await readPosition(this.readers));
    this.#parked = undefined;
    const [first] = candidates;
    if (first === undefined) return { kind: 'ended' };
    const admissions = candidates.map(({ bytes }) => this.#admit(bytes, other, parked !== undefined && candidates.length === 1));
    const blocked = admissions.find((admission) => admission.kind === 'unknown-cause');
    if (blocked !== undefined) {
      this.#parked = { candidates, cause: blocked.digest };
      return { kind: 'blocked', cause: blocked.digest };
    }
    return this.#settle(candidates, admissions);
  }

  /** Nothing more will come: the parked event relies on what nobody shows. */
  endBlocked(): Finding | undefined {
    if (this.#parked === undefined) return undefined;
    return this.#diverge(this.#parked.candidates, [{ kind: 'unknown-cause', digest: this.#parked.cause }]).divergence;
  }

  /** When the parked event says that it was made. Read only after its signature has held. */
  parkedTime(): Timestamp | undefined {
    const bytes = this.#parked?.candidates[0]?.bytes;
    if (bytes === undefined) return undefined;
    const opened = openEnvelope(bytes, PAYLOAD_TYPES.event, () => ({ verify: () => true }));
    const json = opened.ok ? parseStrictJson(opened.value.payload) : opened;
    return json.ok ? placement.safeParse(json.value).data?.time : undefined;
  }

  #admit(bytes: Uint8Array, other: LedgerReplay, isVerified: boolean): Admission {
    return admit(this.#state, bytes, {
      nowMs: this.#rules.nowMs,
      validateChain: this.#rules.validateChain,
      hasId: (id) => this.#ids.has(id),
      digestAt: (seq: Seq) => this.#digests[positionOf(seq) - 1],
      hasCause: (digest) => other.positionOf(digest) !== undefined,
      // A parked envelope's signature held when it was parked: causes are the last thing that admission looks at.
      ...(isVerified ? { coveredByHead: () => true } : {}),
    });
  }

  #settle(candidates: readonly Candidate[], admissions: readonly Admission[]): Advance {
    const [only, ...rest] = admissions;
    if (only?.kind !== 'placed' || rest.length > 0) return this.#diverge(candidates, admissions);
    const { state, digest, payload, event, voidCode } = only;
    this.#state = state;
    this.#digests.push(digest);
    this.#grow(candidates[0]?.bytes);
    this.#positions.set(digest, this.#digests.length);
    this.#ids.add(payload.id);
    if (event?.type === 'KeyAnnounced') this.#issuers = event.data.chain.slice(1);
    return { kind: 'placed', digest, payload, event, ...(voidCode === undefined ? {} : { voidCode }) };
  }

  #grow(envelope: Uint8Array | undefined): void {
    // Nobody asks: a tree of a million events is two million hashes.
    if (this.#marks.size === 0 || envelope === undefined) return;
    this.#tree = appendLeaf(this.#tree, eventLeaf(envelope));
    if (this.#marks.has(this.#tree.size)) this.#roots.set(this.#tree.size, Buffer.from(treeRoot(this.#tree)).toString('hex'));
  }

  #diverge(candidates: readonly Candidate[], admissions: readonly Admission[]): Extract<Advance, { readonly kind: 'diverged' }> {
    const { publisher, audience } = this.ledger;
    const position = seqOf(this.#digests.length + 1);
    this.#divergence = divergenceOf({ publisher, audience }, position, candidates, admissions);
    return { kind: 'diverged', divergence: this.#divergence };
  }
}
