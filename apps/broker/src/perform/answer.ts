import { type HostName, type PolicyDecision, type Reason, strongerRekey, unreachable } from '@carnet/events';
import { homeOf, loosenedAway, restrictionsOf } from '@carnet/policy';
import type { MigrationState } from '@carnet/saga';
import { isOpenHere } from '../moving.ts';
import { reasonOf } from '../reason.ts';
import {
  afterProposal,
  failed,
  LOOK_AGAIN,
  machineOf,
  type Owed,
  type PerformContext,
  type Performed,
  type Performer,
  propose,
  stepOf,
  unfinished,
} from './context.ts';
import { DEADLINE_MS_MAX, EPOCH_MAX } from './limits.ts';
import { type Offer, offerInTurn } from './offer.ts';

/**
 * Refuses, or promises capacity: what the intent claims, then policy, then a host with room, then a key pair that only this
 * migration will use. Alone with the VM: two peers that offer one VM at once must not both find it free.
 */
export const answerIntent: Performer<'AnswerIntent'> = async (context, command) => {
  const answered = await context.alone(command.vm, (signal) => answerAlone(context, command, signal));
  return answered.held ? answered.value : LOOK_AGAIN;
};

async function answerAlone(context: PerformContext, command: Owed<'AnswerIntent'>, signal: AbortSignal): Promise<Performed> {
  const { MigrationIntended: intent } = command.facts;
  const flooding = await whyTooMany(context, command);
  if (flooding !== undefined) return refuse(context, command, [flooding]);
  const unfit = await whyUnfit(context, command);
  if (unfit !== undefined) return refuse(context, command, [unfit]);
  const policy = await context.policy.asTarget({ ...intent.data, epoch: command.epoch }, command.migration);
  if (!policy.allowed) return refuse(context, command, policy.reasons, policy);
  const host = context.inventory.hostFor(intent.data.spec);
  // A refusal is a fact for ever: not for a host that is about to be heard. The source waits until its `offerBy`.
  if (host === undefined && !context.hosts.client.registry.isSettled())
    return failed('HOSTS_NOT_HEARD_YET', 'no host has said hello since this broker, or the bus, came back');
  if (host === undefined) return refuse(context, command, [reasonOf('NO_HOST', 'no host of this CSP is up')], policy);
  // As much as was demanded, or as this CSP does anyway: the offer is held to it.
  const rekey = strongerRekey(intent.data.rekey ?? 'none', context.settings.rekeyArriving);
  const reserved = await context.hosts.step(stepOf(command, host), 'reserve', async () => ({
    spec: machineOf(intent.data.spec),
    mode: command.mode,
    until: intent.data.deadline,
    rekey,
  }));
  if (reserved.kind === 'refused') return refuse(context, command, [reasonOf(reserved.code, reserved.text)], policy);
  if (reserved.kind !== 'done') return unfinished(reserved);
  const hello = context.hosts.client.registry.hello(host);
  if (hello === undefined) return failed('HOST_UNAVAILABLE', `host ${host} has not announced itself yet`);
  const pair = await context.keys.createMigrationKeyPair(command);
  if (!pair.ok) return failed(pair.code, pair.text);
  const offer = await offerInTurn(context, command, signal, (decided) => async (tx) => {
    const offered = await pair.value.record(tx.db);
    if (!offered.ok) return offered;
    return {
      type: 'MigrationOffered',
      migration: command.migration,
      data: {
        intent: intent.digest,
        policy: decided,
        agent: { host, chain: hello.chain },
        ...offered.value,
        until: reserved.result.until,
        ...(rekey === 'none' ? {} : { rekey }),
      },
    };
  });
  return afterOffer(context, command, host, offer);
}

/** First, and cheap: a flood must not buy decisions, reservations and key pairs. About: as many more pass as are answered at one moment. */
async function whyTooMany({ quotas, settings }: PerformContext, { peer }: Owed<'AnswerIntent'>): Promise<Reason | undefined> {
  if ((await quotas.unanswered(peer)) < settings.unansweredOffers) return undefined;
  const text = `${settings.unansweredOffers} offers wait for the source: it agrees to them or withdraws, and asks again`;
  return reasonOf('OFFERS_UNANSWERED', text);
}

async function afterOffer(
  context: PerformContext,
  command: Owed<'AnswerIntent'>,
  host: HostName,
  offer: Offer,
): Promise<Performed> {
  switch (offer.kind) {
    case 'no-turn':
      return LOOK_AGAIN;
    case 'denied': {
      const refused = await refuse(context, command, offer.policy.reasons, offer.policy);
      await giveRoomBack(context, command, host);
      return refused;
    }
    case 'proposed':
      if (!offer.proposed.ok && OVER.has(offer.proposed.code)) await giveRoomBack(context, command, host);
      return afterProposal(offer.proposed);
    default:
      return unreachable(offer);
  }
}

/** Refusals of an offer after which this intent is never answered: nobody will come back for what was reserved. */
const OVER: ReadonlySet<string> = new Set(['TOO_LATE', 'PEER_GAVE_UP']);

/** Undone like any offer. If it does not succeed, the reservation ends by itself at the intent's deadline. */
async function giveRoomBack(context: PerformContext, command: Owed<'AnswerIntent'>, host: HostName): Promise<void> {
  const of = stepOf(command, host);
  const sworn = await context.hosts.step(of, 'forswear', async () => ({}));
  if (sworn.kind === 'done') await context.hosts.step(of, 'destroy', async () => ({}));
}

const refuse = (
  context: PerformContext,
  command: Owed<'AnswerIntent'>,
  reasons: readonly Reason[],
  policy?: PolicyDecision,
): Promise<Performed> =>
  propose(context, command, async () => ({
    type: 'MigrationRefused',
    migration: command.migration,
    data: {
      intent: command.facts.MigrationIntended.digest,
      reasons,
      ...(policy === undefined ? {} : { policy }),
      ...alternativeOf(context, command, reasons),
    },
  }));

/** A host that is down may have what the VM needs: then it is worth asking again. */
function alternativeOf(
  { policy }: PerformContext,
  command: Owed<'AnswerIntent'>,
  reasons: readonly Reason[],
): { readonly alternative?: string } {
  const { level } = restrictionsOf(command.facts.MigrationIntended.data.spec);
  const has = policy.highestLevel();
  return reasons.some(({ code }) => code === 'LEVEL_TOO_LOW') && has >= level
    ? { alternative: `a host of level ${has} is down here: ask again when it is up` }
    : {};
}

/** What no policy could allow. The ledger of one pair cannot tell where a VM is: this CSP's own custody and all its ledgers can. */
async function whyUnfit(context: PerformContext, command: Owed<'AnswerIntent'>): Promise<Reason | undefined> {
  const { data } = command.facts.MigrationIntended;
  if (!data.policy.allowed) return reasonOf('SOURCE_POLICY_DENIES', "the source's own policy denies the move");
  const aheadMs = Date.parse(data.deadline) - context.nowMs();
  if (!(aheadMs <= DEADLINE_MS_MAX))
    return reasonOf('DEADLINE_TOO_FAR', `room is promised for ${DEADLINE_MS_MAX / 1_000} s at most`);
  if (command.epoch > EPOCH_MAX) return reasonOf('EPOCH_TOO_HIGH', `epochs end at ${EPOCH_MAX}`);
  if ((await context.inventory.vm(command.vm)) !== undefined) return reasonOf('VM_PRESENT', 'the VM is held here');
  if (await context.ledgers.isIdTaken(command))
    return reasonOf('MIGRATION_ID_TAKEN', 'the migration has an id that was used before');
  const outside = await context.peers.agreementFault(command.peer, {
    mode: data.mode,
    target: context.self,
    kem: context.settings.kemArriving,
  });
  if (outside !== undefined) return outside;
  return (await whyNotOurs(context, command)) ?? context.peers.requestFault(command.migration, data);
}

/** With whatever peer: a VM that is on its way, an epoch that is over, a VM of ours that never left. */
async function whyNotOurs(context: PerformContext, command: Owed<'AnswerIntent'>): Promise<Reason | undefined> {
  const { self } = context;
  const others = (await context.ledgers.journeys(command.vm))
    .flatMap(({ migrations }) => migrations)
    .filter((m) => !(m.id === command.migration && m.source === command.peer));
  if (others.some((m) => isOpenHere(m, self))) return reasonOf('VM_MOVING', 'the VM is in another migration here');
  const held = others.filter((m) => hadIt(m));
  if (held.some((m) => m.epoch >= command.epoch)) return reasonOf('EPOCH_REUSED', 'the VM has been here in a later epoch');
  const looser = loosenedSince(held, command);
  if (looser !== undefined) return reasonOf('RESTRICTIONS_LOOSENED', looser);
  const isFromHere = command.vm.startsWith(`${self}/`);
  return isFromHere && !held.some((m) => m.source === self)
    ? reasonOf('VM_NOT_GIVEN', 'this is its home, and it never left')
    : undefined;
}

/** A holder that is not its home can only have tightened what the VM came or left with; of what we never saw we cannot speak. */
function loosenedSince(held: readonly MigrationState[], command: Owed<'AnswerIntent'>): string | undefined {
  const last = held.toSorted((a, b) => a.epoch - b.epoch).at(-1)?.facts.MigrationIntended;
  if (last === undefined || homeOf(command.vm) === command.peer) return undefined;
  return loosenedAway(restrictionsOf(last.data.spec), restrictionsOf(command.facts.MigrationIntended.data.spec));
}

/** Migrations that moved the VM: to us or from us. */
const hadIt = (m: MigrationState): boolean => m.sourcePhase === 'retired' || m.targetPhase === 'finalized';
