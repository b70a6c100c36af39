import { connectBroker, createPublisher, type Wish } from '@carnet/publisher';

export interface Files {
  readonly url: string;
  readonly serverName: string;
  readonly ca: Buffer;
  readonly token: string;
}

/** A scheduler's whole part in a migration: ask once, safely again after a crash, and see how it ended. */
export async function moveAway(
  files: Files,
  wish: Wish,
  random: (n: number) => Uint8Array,
  nowMs: () => number,
): Promise<string> {
  const { url, serverName, ca, token } = files;
  const broker = connectBroker({ url, serverName, ca, credentials: { kind: 'token', token } });
  try {
    const accepted = await createPublisher({ broker, nowMs, random }).intend(wish);
    if (!accepted.ok) return `refused: ${accepted.code}`;
    const state = await broker.get<{ readonly outcome: string }>(`/v1/migrations/${accepted.value.id}`);
    return state.ok ? state.value.outcome : `unknown: ${state.code}`;
  } finally {
    broker.close();
  }
}
