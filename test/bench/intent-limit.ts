import { randomBytes, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { startNats } from '@carnet/dev';
import { AckPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect } from 'nats';
import { Pool } from 'pg';
import type { Clouds } from '../faults/harness/clouds.ts';

/** What the three envelopes of an agreement weigh: MigrationIntended, MigrationOffered, OfferAgreed. */
export const AGREEMENT_BYTES: readonly number[] = [1_820, 7_856, 5_456];
const POOL = 8;
const NATS = 'listen: "127.0.0.1:{{port}}"\njetstream { store_dir: "{{dir}}/jetstream" }\n';

/** The least that signed events from one database to the other and back can cost on this machine. */
export type BareHops = {
  /** Milliseconds of each of `count` exchanges, `atOnce` at a time. */
  readonly take: (count: number, atOnce: number) => Promise<readonly number[]>;
  readonly close: () => Promise<void>;
};

type Side = { readonly name: 'a' | 'b'; readonly pool: Pool };
type Hop = { readonly id: string; readonly hop: number };

/** The same two databases, a nats-server without TLS, and nothing but commits and hops between them, the first from A to B. */
export async function bareHops(clouds: Pick<Clouds, 'root' | 'a' | 'b'>, hopBytes: readonly number[]): Promise<BareHops> {
  const nats = await startNats({ dir: join(clouds.root, 'bare'), configText: NATS });
  const connection = await connect({ servers: nats.url });
  const manager = await jetstreamManager(connection);
  await manager.streams.add({ name: 'bare', subjects: ['bare.*'] });
  const stream = jetstream(connection);
  const sides: readonly Side[] = (['a', 'b'] as const).map((name) => ({
    name,
    pool: new Pool({ connectionString: clouds[name].database.url, max: POOL }),
  }));
  const [a, b] = sides;
  if (a === undefined || b === undefined) throw new Error('two sides');
  // A database that a failed run stops under us must not hide why it failed.
  for (const { pool } of sides) pool.on('error', () => undefined);
  const arrived = new Map<string, () => void>();

  const keep = ({ pool }: Side, { id, hop }: Hop): Promise<unknown> =>
    pool.query('insert into bench_hops (id, hop, body) values ($1, $2, $3)', [id, hop, randomBytes(hopBytes[hop] ?? 0)]);
  const send = async (from: Side, to: Side, hop: Hop): Promise<void> => {
    await keep(from, hop);
    await stream.publish(`bare.${to.name}`, JSON.stringify({ ...hop, body: 'x'.repeat(hopBytes[hop.hop] ?? 0) }));
  };
  const receive = async (at: Side, other: Side): Promise<void> => {
    const messages = await (await stream.consumers.get('bare', at.name)).consume();
    const take = async (hop: Hop, ack: () => void): Promise<void> => {
      await keep(at, hop);
      ack();
      if (hop.hop + 1 < hopBytes.length) await send(at, other, { ...hop, hop: hop.hop + 1 });
      else arrived.get(hop.id)?.();
    };
    for await (const message of messages) void take(message.json<Hop>(), () => message.ack());
  };
  for (const { name, pool } of sides) {
    await pool.query('create table bench_hops (id text, hop int, body bytea, primary key (id, hop))');
    await manager.consumers.add('bare', { durable_name: name, filter_subject: `bare.${name}`, ack_policy: AckPolicy.Explicit });
  }
  const receiving = [receive(a, b), receive(b, a)];

  const once = async (): Promise<number> => {
    const id = randomUUID();
    const startedMs = performance.now();
    const done = new Promise<void>((resolve) => arrived.set(id, resolve));
    await send(a, b, { id, hop: 0 });
    await done;
    arrived.delete(id);
    return performance.now() - startedMs;
  };

  return {
    take: async (count, atOnce) => {
      const taken: number[] = [];
      for (let left = count; left > 0; left -= atOnce)
        taken.push(...(await Promise.all(Array.from({ length: Math.min(atOnce, left) }, once))));
      return taken;
    },
    close: async () => {
      await connection.close();
      await Promise.allSettled(receiving);
      await Promise.all(sides.map(({ pool }) => pool.end()));
      await nats.stop();
    },
  };
}
