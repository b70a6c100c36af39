import { createHash } from 'node:crypto';
import {
  type Digest,
  type Draft,
  dsseEnvelope,
  type Event,
  type EventData,
  type EventType,
  epoch,
  GENESIS,
  type MigrationEvent,
  type MigrationId,
  migrationId,
  PAYLOAD_TYPES,
  type RekeyMethod,
  type RequestRecord,
  type TrustDomain,
  uuidv7,
  type VmId,
  vmId,
} from '@carnet/events';
import { decide, evolve, initialJourney, type Journey, type MigrationState, type Proposal, react } from '@carnet/saga';
import { ed25519KeyId, keyAnnouncementBytes, type Signer, sha256Hex, signEnvelope } from '@carnet/trust';
import {
  BEGIN_MS,
  base64,
  CSP_A,
  CSP_B,
  chainOf,
  eventKey,
  type Federation,
  leafOf,
  signerOf,
  testimony,
  timeAt,
} from './federation.ts';
import { DESTROYED_FACTS, decided, performed, RECEIPT, RULES, SPEC } from './performer.ts';

export type Ledger = { readonly publisher: TrustDomain; readonly audience: TrustDomain; readonly envelopes: Uint8Array[] };
/** What a test changes of an event before it is signed: what a lying broker would publish. */
export type Alter = (draft: Draft) => Draft;
const honest: Alter = (draft) => draft;

export const vmOf = (n: number): VmId => vmId.parse(`${CSP_A}/1b4e28ba-2fa1-41d2-883f-${n.toString(16).padStart(12, '0')}`);
const uuidOf = (word: string, ms: number): string => uuidv7(ms, createHash('sha256').update(word).digest().subarray(0, 10));
export const migrationOf = (n: number): MigrationId => migrationId.parse(uuidOf(`migration ${n}`, BEGIN_MS));

/** Two brokers whose every word reaches the other at once, and what they write. Mutable: it is a pen. */
export class Telling {
  readonly federation: Federation;
  readonly a: Ledger = { publisher: CSP_A, audience: CSP_B, envelopes: [] };
  readonly b: Ledger = { publisher: CSP_B, audience: CSP_A, envelopes: [] };
  readonly journeys = new Map<VmId, Journey>();
  #ms: number;
  #alter: Alter;
  readonly #ruled = new Set<Ledger>();

  constructor(federation: Federation, alter: Alter = honest) {
    this.federation = federation;
    this.#ms = federation.beginMs;
    this.#alter = alter;
    for (const ledger of [this.a, this.b]) this.announce(ledger);
  }

  /** Nothing happens for a while. */
  rest(ms: number): void {
    this.#ms += ms;
  }

  ledgerOf(publisher: TrustDomain): Ledger {
    return publisher === CSP_A ? this.a : this.b;
  }

  announce(ledger: Ledger, word = ledger.publisher): void {
    const leaf = leafOf(this.federation, ledger.publisher, 'broker');
    const key = eventKey(word);
    const said = {
      keyid: ed25519KeyId(key.publicKey),
      algorithm: 'Ed25519',
      publicKey: base64(key.publicKey),
      notBefore: timeAt(this.#ms),
    } as const;
    const signature = base64(signerOf(leaf).sign(keyAnnouncementBytes(ledger.publisher, ledger.audience, said)));
    this.sign(ledger, { type: 'KeyAnnounced', causes: [], data: { ...said, chain: chainOf(leaf), signature } }, key);
  }

  /** Appends an event, one second after the last. */
  sign(ledger: Ledger, draft: Draft, signer: Signer = eventKey(ledger.publisher)): Digest {
    this.#ms += 1_000;
    const bytes = sealed(ledger, this.#alter(draft), this.#ms, signer);
    ledger.envelopes.push(bytes);
    return sha256Hex(bytes);
  }

  /** Announces the rules by which this side decides. */
  rule(ledger: Ledger, data: EventData<'PolicyAnnounced'>): void {
    this.#ruled.add(ledger);
    this.sign(ledger, { type: 'PolicyAnnounced', causes: [], data });
  }

  propose(self: TrustDomain, vm: VmId, proposal: Proposal): void {
    const now = timeAt(this.#ms);
    const decision = decide(this.journey(vm), self, proposal, now);
    if (!decision.ok) throw new Error(`${proposal.type}: ${decision.code}`);
    const ledger = this.ledgerOf(self);
    if ('policy' in decision.draft.data && !this.#ruled.has(ledger)) this.rule(ledger, RULES.ruledBy);
    const digest = this.sign(ledger, decision.draft);
    const placed: MigrationEvent = JSON.parse(payloadText(ledger.envelopes.at(-1) ?? new Uint8Array()));
    this.journeys.set(vm, evolve(this.journey(vm), { event: placed, digest }).journey);
  }

  journey(vm: VmId): Journey {
    return this.journeys.get(vm) ?? initialJourney(vm);
  }

  /** Goes on with a VM until nothing is owed, or this was said. */
  play(vm: VmId, until?: EventType): void {
    for (let idle = 0; idle < 2; ) {
      for (const self of [CSP_A, CSP_B]) {
        const [owed] = react(this.journey(vm), self, timeAt(this.#ms));
        const m = this.journey(vm).migrations.find((one) => one.id === owed?.migration);
        if (owed === undefined || m === undefined) idle++;
        else {
          idle = 0;
          const proposal = performed(this.federation, owed, m, timeAt(this.#ms));
          this.propose(self, vm, proposal);
          if (proposal.type === until) return;
        }
      }
    }
  }

  intend(
    n: number,
    options: {
      readonly vm?: VmId;
      readonly epoch?: number;
      readonly source?: TrustDomain;
      readonly request?: RequestRecord;
      readonly said?: Partial<EventData<'MigrationIntended'>>;
      readonly rekey?: RekeyMethod;
    } = {},
  ): VmId {
    const { vm = vmOf(n), source = CSP_A } = options;
    const target = source === CSP_A ? CSP_B : CSP_A;
    const intent: Omit<EventData<'MigrationIntended'>, 'policy'> = {
      vm,
      source,
      target,
      mode: 'cold',
      ...(options.rekey === undefined ? {} : { rekey: options.rekey }),
      spec: SPEC,
      request: options.request ?? this.request(n, vm, source, target),
      offerBy: timeAt(this.#ms + 600_000),
      deadline: timeAt(this.#ms + 3_600_000),
      ...options.said,
    };
    const data = { ...intent, policy: decided({ ...intent, epoch: options.epoch ?? 1 }, 'send', timeAt(this.#ms)) };
    this.propose(source, vm, {
      type: 'MigrationIntended',
      migration: migrationOf(n),
      epoch: epoch.parse(options.epoch ?? 1),
      data,
    });
    return vm;
  }

  /** The target gives the VM back, with its host's word that it never will run it. */
  giveBack(m: MigrationState): void {
    const word = (kind: 'destroyed' | 'never') =>
      testimony(this.federation, m, 'target', kind, timeAt(this.#ms), kind === 'destroyed' ? { facts: DESTROYED_FACTS } : {});
    const reason = { code: 'IMPORT_FAILED', text: 'a key did not open its volume' };
    this.propose(m.target, m.vm, {
      type: 'Relinquish',
      migration: m.id,
      reason,
      receipt: { ...RECEIPT, evidence: word('destroyed') },
      never: word('never'),
    });
  }

  /** A scheduler's signed request. */
  request(n: number, vm: VmId, source: TrustDomain, target: TrustDomain, more: object = {}): RequestRecord {
    const leaf = leafOf(this.federation, source, 'scheduler');
    const bytes = signEnvelope(
      PAYLOAD_TYPES.request,
      Buffer.from(JSON.stringify({ migration: migrationOf(n), vm, target, mode: 'cold', ...more })),
      signerOf(leaf),
    );
    return {
      via: 'signature',
      principal: leaf.spiffeId,
      envelope: dsseEnvelope.parse(JSON.parse(Buffer.from(bytes).toString('utf8'))),
      certificate: chainOf(leaf)[0] ?? '',
    };
  }
}

export const payloadText = (envelope: Uint8Array): string =>
  Buffer.from(dsseEnvelope.parse(JSON.parse(Buffer.from(envelope).toString('utf8'))).payload, 'base64').toString('utf8');

/** The next envelope of a ledger. */
export function sealed({ publisher, audience, envelopes }: Ledger, draft: Draft, ms: number, signer: Signer): Uint8Array {
  const last = envelopes.at(-1);
  const seq = envelopes.length + 1;
  const payload: Record<keyof Event, unknown> & Record<string, unknown> = {
    id: uuidOf(`${publisher} ${seq}`, ms),
    v: 1,
    publisher,
    audience,
    seq: String(seq),
    prev: last === undefined ? GENESIS : sha256Hex(last),
    time: timeAt(ms),
    ...draft,
  };
  return signEnvelope(PAYLOAD_TYPES.event, Buffer.from(JSON.stringify(payload)), signer);
}
