import { ledgerStream, type TrustDomain } from '@carnet/events';
import type { ConsumerMessages, JetStreamClient, JsMsg } from '@nats-io/jetstream';
import { durableOf } from '../bus-config.ts';
import {
  ASK_GRACE_MS,
  CONSUMER_PULL_MS,
  HELD_LOOK_MS,
  INTAKE_TURN_BYTES,
  PULL_MESSAGES_MAX,
  RECEIVE_BATCH_MAX,
  UNANNOUNCED_TRIES_MAX,
} from '../limits.ts';
import type { Log, RandomBytes } from '../ports.ts';
import type { Received, Receiver } from '../receive.ts';
import type { Intake } from './intake.ts';
import { type Bell, bell, pacing, pause, untilStopped } from './pace.ts';

export type FollowerPorts = {
  readonly self: TrustDomain;
  readonly peer: TrustDomain;
  readonly receiver: Receiver;
  readonly intake: Intake;
  /** Called when nothing more of the peer is taken for now. */
  readonly held: (by: NonNullable<ReturnType<Intake['heldBy']>>) => void;
  readonly jetstream: JetStreamClient;
  readonly random: RandomBytes;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly received: (results: readonly Received[]) => void;
};

const IDLE_MS_MAX = 1_000;

/**
 * Follows the peer's ledger through our durable consumer. What piled up while one transaction ran is admitted by the next;
 * a message is acknowledged when its verdict is committed, so a crash only means a repeat.
 */
export async function follow(ports: FollowerPorts): Promise<void> {
  const { signal, random, log, peer } = ports;
  const failed = (cause: unknown, attempt: number): void =>
    log.warn({ peer, attempt, cause: String(cause) }, 'could not follow the peer’s ledger');
  await untilStopped({ signal, random, failed }, async () => {
    await consumeOnce(ports);
    while (ports.intake.heldBy() !== undefined && !signal.aborted) await pause(HELD_LOOK_MS, signal);
  });
}

/** Until the peer is held, the consumer goes away, which throws, or the signal fires. */
async function consumeOnce(ports: FollowerPorts): Promise<void> {
  const { jetstream, peer, self, signal } = ports;
  const waiting: JsMsg[] = [];
  const arrived = bell();
  const consumer = await jetstream.consumers.get(ledgerStream(peer, self), durableOf(self));
  const messages = await consumer.consume({
    max_messages: PULL_MESSAGES_MAX,
    expires: CONSUMER_PULL_MS,
    idle_heartbeat: CONSUMER_PULL_MS / 2,
    abort_on_missing_resource: true,
    callback: (message) => {
      waiting.push(message);
      arrived.ring();
    },
  });
  const stop = (): void => messages.stop();
  signal.addEventListener('abort', stop, { once: true });
  try {
    await Promise.race([admitWhatComes(ports, waiting, arrived, messages), ended(messages)]);
  } finally {
    signal.removeEventListener('abort', stop);
    await messages.close();
    // Given back at once: without it the server would wait CONSUMER_ACK_MS before it sends them again.
    for (const message of waiting.splice(0)) message.nak();
  }
}

async function ended(messages: ConsumerMessages): Promise<void> {
  const cause = await messages.closed();
  if (cause instanceof Error) throw cause;
}

async function admitWhatComes(ports: FollowerPorts, waiting: JsMsg[], arrived: Bell, messages: ConsumerMessages): Promise<void> {
  const { receiver, intake, signal, received } = ports;
  let open = true;
  void messages.closed().then(() => {
    open = false;
  });
  while (open && !signal.aborted) {
    if (waiting.length === 0) {
      await arrived.wait(IDLE_MS_MAX, signal);
      continue;
    }
    const held = intake.heldBy();
    if (held !== undefined) return ports.held(held);
    const batch = waiting.splice(0, turnOf(waiting));
    const startedMs = pacing.nowMs();
    const results = await admitBatch(receiver, batch, waiting);
    for (const [i, message] of batch.entries()) settle(message, results[i]);
    received(results);
    const restMs = intake.took(bytesOf(batch), pacing.nowMs() - startedMs);
    if (restMs > 0) await pause(restMs, signal);
  }
}

const bytesOf = (batch: readonly JsMsg[]): number => batch.reduce((sum, { data }) => sum + data.length, 0);

/** How many of the first that wait make one turn. */
function turnOf(waiting: readonly JsMsg[]): number {
  let bytes = 0;
  const beyond = waiting.findIndex(({ data }) => {
    bytes += data.length;
    return bytes > INTAKE_TURN_BYTES;
  });
  return Math.min(RECEIVE_BATCH_MAX, beyond === -1 ? waiting.length : Math.max(1, beyond));
}

async function admitBatch(receiver: Receiver, batch: readonly JsMsg[], waiting: JsMsg[]): Promise<readonly Received[]> {
  try {
    return await receiver.receive(batch.map(({ data, subject }) => ({ envelope: data, subject })));
  } catch (cause) {
    waiting.unshift(...batch);
    throw cause;
  }
}

/**
 * What is refused never gets better: the server is told not to send it again, with the code as the reason. But an event that
 * overtook its key's announcement does.
 */
function settle(message: JsMsg, result: Received | undefined): void {
  if (result?.kind !== 'refused') message.ack();
  else if (result.code === 'KEY_NOT_ANNOUNCED' && message.info.deliveryCount < UNANNOUNCED_TRIES_MAX) message.nak(ASK_GRACE_MS);
  else message.term(result.code);
}
