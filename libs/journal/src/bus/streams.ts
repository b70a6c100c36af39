import { ledgerStream, ledgerSubjects } from '@carnet/events';
import {
  AckPolicy,
  DeliverPolicy,
  DiscardPolicy,
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamManager,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from '@nats-io/jetstream';
import { type BusConfig, busLedgers, durableOf } from '../bus-config.ts';
import {
  CONSUMER_ACK_MS,
  PULL_MESSAGES_MAX,
  STREAM_BYTES_MAX,
  STREAM_DUPLICATE_MS,
  STREAM_MESSAGE_BYTES_MAX,
} from '../limits.ts';
import { type BusAddress, connectNats } from './connection.ts';

const NANOSECONDS_PER_MS = 1_000_000;

/**
 * Creates what is missing: a stream for each ledger and the one consumer of its audience. Run by the bus's operator; brokers may
 * not, since whoever may create a stream may also empty one. Idempotent; an existing stream is left as it is, but for its number
 * of replicas where that is given (an odd one, up to the servers of the cluster; a new stream without it has one).
 */
export async function ensureStreams(
  operator: BusAddress,
  config: Pick<BusConfig, 'members' | 'pairs'> & { readonly replicas?: number },
): Promise<void> {
  const connection = await connectNats(operator);
  try {
    const manager = await jetstreamManager(connection);
    for (const ledger of busLedgers(config)) await ensureLedger(manager, ledger, config.replicas);
  } finally {
    await connection.close();
  }
}

async function ensureLedger(
  manager: JetStreamManager,
  { publisher, audience }: ReturnType<typeof busLedgers>[number],
  replicas: number | undefined,
): Promise<void> {
  const name = ledgerStream(publisher, audience);
  const held = await configOf(manager, name);
  if (held === undefined)
    await manager.streams.add({
      name,
      subjects: [ledgerSubjects(publisher, audience)],
      retention: RetentionPolicy.Limits,
      storage: StorageType.File,
      discard: DiscardPolicy.Old,
      max_bytes: STREAM_BYTES_MAX,
      max_msg_size: STREAM_MESSAGE_BYTES_MAX,
      duplicate_window: STREAM_DUPLICATE_MS * NANOSECONDS_PER_MS,
      deny_delete: true,
      deny_purge: true,
      ...(replicas === undefined ? {} : { num_replicas: replicas }),
    });
  else if (replicas !== undefined && held.num_replicas !== replicas)
    await manager.streams.update(name, { ...held, num_replicas: replicas });
  await manager.consumers.add(name, {
    durable_name: durableOf(audience),
    ack_policy: AckPolicy.Explicit,
    deliver_policy: DeliverPolicy.All,
    ack_wait: CONSUMER_ACK_MS * NANOSECONDS_PER_MS,
    // Bounds what a slow follower can have in its memory.
    max_ack_pending: 2 * PULL_MESSAGES_MAX,
  });
}

async function configOf(manager: JetStreamManager, stream: string): Promise<StreamConfig | undefined> {
  try {
    return (await manager.streams.info(stream)).config;
  } catch (cause) {
    if (cause instanceof JetStreamApiError && cause.code === JetStreamApiCodes.StreamNotFound) return undefined;
    throw cause;
  }
}
