import { PAYLOAD_TYPES, peerSubject, type TrustDomain } from '@carnet/events';
import type { NatsConnection, Subscription } from 'nats';
import type { Exchange, Question } from '../exchange.ts';
import {
  ASK_GRACE_MS,
  BACKOFF_MS_MAX,
  CHALLENGE_EVERY_MS,
  CHECKPOINT_AFTER_HEAD_MS,
  HEAD_AFTER_ACTIVITY_MS,
  HEAD_EVERY_MS,
  HELD_LOOK_MS,
  MESSAGES_WAITING_BYTES_MAX,
  MESSAGES_WAITING_MAX,
  RECEIVE_BATCH_MAX,
  RESEND_PAUSE_MS,
  TALK_BURST,
  TALK_BYTES_BURST,
  TALK_BYTES_PER_SECOND,
  TALK_MESSAGE_UNITS,
  TALK_PER_SECOND,
} from '../limits.ts';
import type { Log, RandomBytes } from '../ports.ts';
import type { Received } from '../receive.ts';
import { openAllowance } from './allowance.ts';
import { type Bell, bell, pacing, pause, untilStopped } from './pace.ts';

export type ChannelPorts = {
  readonly self: TrustDomain;
  readonly peer: TrustDomain;
  readonly connection: NatsConnection;
  readonly isUp: () => boolean;
  readonly exchange: Exchange;
  readonly resent: (envelopes: readonly Uint8Array[]) => Promise<readonly Received[]>;
  readonly random: RandomBytes;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Called when the peer is not listened to for a while. */
  readonly hushed: () => void;
};

export type Channel = {
  readonly run: () => Promise<void>;
  /** Something was told or placed: let the peer know our heads soon. */
  readonly activity: () => void;
  /** Something is missing: ask for it soon, and again until it came. */
  readonly missing: () => void;
};

type Timers = { headMs: number; checkpointMs: number; askMs: number; askPauseMs: number; challengeMs: number };
/** When each kind of question last had envelopes for an answer. */
type Resent = Map<Question, number>;

/** Talks with one peer on core subjects: heads, questions, challenges, and re-sent envelopes. Nothing here is stored by the bus. */
export function openChannel(ports: ChannelPorts): Channel {
  const incoming: Uint8Array[] = [];
  const woken = bell();
  const never = Number.POSITIVE_INFINITY;
  const due: Timers = {
    headMs: 0,
    checkpointMs: never,
    askMs: never,
    askPauseMs: ASK_GRACE_MS,
    challengeMs: 0,
  };
  const soon = (timer: 'headMs' | 'askMs', ms: number): void => {
    due[timer] = Math.min(due[timer], pacing.nowMs() + ms);
    woken.ring();
  };
  const missing = (): void => soon('askMs', ASK_GRACE_MS);
  return {
    activity: () => soon('headMs', HEAD_AFTER_ACTIVITY_MS),
    missing,
    run: () => talk(ports, { incoming, woken, due, missing, resent: new Map() }),
  };
}

type Talk = {
  readonly incoming: Uint8Array[];
  readonly woken: Bell;
  readonly due: Timers;
  readonly resent: Resent;
  readonly missing: () => void;
};

async function talk(ports: ChannelPorts, state: Talk): Promise<void> {
  const { signal, random, log, peer } = ports;
  const listening = listen(ports, state);
  try {
    await untilStopped(
      {
        signal,
        random,
        failed: (cause, attempt) => log.warn({ peer, attempt, cause: String(cause) }, 'could not talk with the peer'),
      },
      async () => {
        await hearAll(ports, state);
        await sayWhatIsDue(ports, state);
        if (state.incoming.length > 0) return;
        const nextMs = Math.min(state.due.headMs, state.due.checkpointMs, state.due.askMs, state.due.challengeMs);
        await state.woken.wait(Math.max(1, nextMs - pacing.nowMs()), signal);
      },
    );
  } finally {
    listening.stop();
  }
}

/**
 * Hears the peer for as long as it keeps within its allowance. Then the subscription ends for a while, and the bus drops what it says: nothing
 * of it reaches us at all, and heads, questions and envelopes come again.
 */
function listen(ports: ChannelPorts, { incoming, woken }: Talk): { readonly stop: () => void } {
  const { connection, self, peer, signal, hushed } = ports;
  const units = openAllowance(pacing, { burst: TALK_BURST, perSecond: TALK_PER_SECOND });
  const bytes = openAllowance(pacing, { burst: TALK_BYTES_BURST, perSecond: TALK_BYTES_PER_SECOND });
  let waitingBytes = 0;
  let subscription: Subscription | undefined;
  const drop = (): void => {
    waitingBytes = incoming.reduce((sum, { length }) => sum + length, 0);
    while (incoming.length > MESSAGES_WAITING_MAX || waitingBytes > MESSAGES_WAITING_BYTES_MAX)
      waitingBytes -= incoming.shift()?.length ?? 0;
  };
  const subscribe = (): void => {
    subscription = connection.subscribe(peerSubject(peer, self), {
      callback: (error, message) => {
        if (error !== null) return;
        incoming.push(message.data);
        units.spend(claimsEvent(message.data) ? 1 : TALK_MESSAGE_UNITS);
        bytes.spend(message.data.length);
        waitingBytes += message.data.length;
        if (incoming.length > MESSAGES_WAITING_MAX || waitingBytes > MESSAGES_WAITING_BYTES_MAX) drop();
        if (isSpent()) void hush();
        woken.ring();
      },
    });
  };
  const isSpent = (): boolean => [units, bytes].map((one) => one.isSpent()).includes(true);
  const hush = async (): Promise<void> => {
    if (subscription === undefined) return;
    subscription.unsubscribe();
    subscription = undefined;
    hushed();
    while (isSpent() && !signal.aborted) await pause(HELD_LOOK_MS, signal);
    if (!signal.aborted && !connection.isClosed()) subscribe();
  };
  subscribe();
  return { stop: () => subscription?.unsubscribe() };
}

const utf8 = new TextDecoder();
const EVENT_OPENING = `{"payloadType":"${PAYLOAD_TYPES.event}"`;
/** Envelopes have one spelling, so their first bytes tell what they claim to be; what they are is checked later. */
const claimsEvent = (bytes: Uint8Array): boolean => utf8.decode(bytes.subarray(0, EVENT_OPENING.length)) === EVENT_OPENING;

async function hearAll(ports: ChannelPorts, state: Talk): Promise<void> {
  const { incoming, due } = state;
  while (incoming.length > 0 && !ports.signal.aborted) {
    const events = incoming.findIndex((bytes) => !claimsEvent(bytes));
    const batch = incoming.splice(0, Math.min(events === -1 ? incoming.length : events, RECEIVE_BATCH_MAX));
    if (batch.length === 0) await hearMessage(ports, state, incoming.shift());
    else if ((await ports.resent(batch)).some(({ kind }) => kind === 'placed')) {
      // It helps: the next question may follow at once.
      due.askPauseMs = ASK_GRACE_MS;
      due.challengeMs = 0;
      due.headMs = Math.min(due.headMs, pacing.nowMs() + HEAD_AFTER_ACTIVITY_MS);
    }
  }
}

async function hearMessage(ports: ChannelPorts, state: Talk, bytes: Uint8Array | undefined): Promise<void> {
  const { exchange, log, peer } = ports;
  if (bytes === undefined) return;
  const heard = await exchange.hear(bytes);
  if (!heard.ok) {
    const level = heard.code === 'PEER_UNANNOUNCED' ? 'debug' : 'warn';
    log[level]({ peer, code: heard.code, got: heard.got }, heard.text);
    // Perhaps signed with a key whose announcement has not come.
    if (heard.code === 'SIGNER_UNKNOWN' || heard.code === 'PEER_UNANNOUNCED') state.missing();
    return;
  }
  if (heard.value.received === 'behind') state.missing();
  const { replies, to } = heard.value;
  // Each kind for itself: a peer that asks for our events and for its own in step would never hear of the second.
  if (to !== undefined && replies.length > 1) {
    const nowMs = pacing.nowMs();
    if (nowMs - (state.resent.get(to) ?? Number.NEGATIVE_INFINITY) < RESEND_PAUSE_MS) return;
    state.resent.set(to, nowMs);
  }
  say(ports, replies);
}

async function sayWhatIsDue(ports: ChannelPorts, { due }: Talk): Promise<void> {
  const { exchange } = ports;
  const nowMs = pacing.nowMs();
  if (nowMs >= due.headMs) {
    due.headMs = nowMs + HEAD_EVERY_MS;
    say(ports, await exchange.head());
    due.checkpointMs = Math.min(due.checkpointMs, nowMs + CHECKPOINT_AFTER_HEAD_MS);
  }
  if (nowMs >= due.checkpointMs) {
    due.checkpointMs = Number.POSITIVE_INFINITY;
    say(ports, await exchange.checkpoint());
  }
  if (nowMs >= due.challengeMs) {
    due.challengeMs = nowMs + CHALLENGE_EVERY_MS;
    say(ports, await exchange.challengeIfInDoubt());
  }
  if (nowMs >= due.askMs) await ask(ports, due, nowMs);
}

/** Asks at least once when called for, then on while the peer's signed head is beyond ours, each time later. */
async function ask(ports: ChannelPorts, due: Timers, nowMs: number): Promise<void> {
  say(ports, [await ports.exchange.ask()]);
  const behind = await ports.exchange.isBehind();
  due.askMs = behind ? nowMs + due.askPauseMs : Number.POSITIVE_INFINITY;
  due.askPauseMs = behind ? Math.min(due.askPauseMs * 2, BACKOFF_MS_MAX) : ASK_GRACE_MS;
}

/** Into the void while there is no connection: the client would keep it all in memory, and heads come again. */
function say({ connection, isUp, self, peer }: ChannelPorts, messages: readonly Uint8Array[]): void {
  if (!isUp()) return;
  for (const message of messages) connection.publish(peerSubject(self, peer), message);
}
