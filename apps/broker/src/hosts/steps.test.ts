import { GENESIS, hostName } from '@carnet/events';
import { commandId, type HostReply } from '@carnet/hypervisor';
import { describe, expect, it } from 'vitest';
import { FIRST_EPOCH, migration, VM } from '../../../../libs/saga/src/testing.ts';
import type { Asked, HostClient } from './client.ts';
import { createHosts } from './steps.ts';
import type { CommandDraft, SignedCommand } from './wire.ts';

const [ONE, TWO] = [hostName.parse('host-1'), hostName.parse('host-2')];
const ANSWER = { kind: 'reply', id: commandId.parse('1b4e28ba-2fa1-41d2-883f-0016d3cca427'), command: GENESIS } as const;
const RUNNING = { ...ANSWER, status: 'running' } as HostReply;
const DONE = { ...ANSWER, status: 'done', result: { step: 'surrender' } } as HostReply;
const SILENT: Asked = { status: 'silent', text: 'no answer' };

/** A host that answers what it is told to; which commands reached it is kept. */
function hostsThatAnswer(...answers: readonly Asked[]) {
  const asked: SignedCommand[] = [];
  let signed = 0;
  const client = {
    sign: (draft: CommandDraft) =>
      ({ bytes: Buffer.from(`${++signed}`), digest: GENESIS, command: draft }) as unknown as SignedCommand,
    ask: async (command: SignedCommand) => {
      asked.push(command);
      return answers[Math.min(asked.length, answers.length) - 1] ?? SILENT;
    },
  } as unknown as HostClient;
  let nowMs = 0;
  const hosts = createHosts(client, () => nowMs);
  return {
    asked: () => asked.map(({ bytes, command }) => `${command.host} ${Buffer.from(bytes).toString()}`),
    pass: (ms: number) => (nowMs += ms),
    surrender: (host = ONE) =>
      hosts.step({ host, vm: VM, migration: migration(1), epoch: FIRST_EPOCH, because: GENESIS }, 'surrender', async () => ({})),
  };
}

describe('a step at a host', () => {
  it('is asked for in the same bytes while it runs, and while nothing comes back', async () => {
    const world = hostsThatAnswer(RUNNING, SILENT, RUNNING, DONE);
    for (let i = 0; i < 3; i++) await world.surrender();
    expect(await world.surrender()).toMatchObject({ kind: 'done' });
    expect(world.asked()).toEqual(['host-1 1', 'host-1 1', 'host-1 1', 'host-1 1']);
  });

  it('is signed anew once answered, and before its signature is too old', async () => {
    const world = hostsThatAnswer(DONE, RUNNING);
    await world.surrender();
    await world.surrender();
    world.pass(300_000);
    await world.surrender();
    expect(world.asked()).toEqual(['host-1 1', 'host-1 2', 'host-1 3']);
  });

  it('at another host is another command: what one was asked is never taken for the other’s answer', async () => {
    const world = hostsThatAnswer(SILENT);
    await world.surrender(ONE);
    await world.surrender(TWO);
    expect(world.asked()).toEqual(['host-1 1', 'host-2 2']);
  });

  it.each<readonly [HostReply, string]>([
    [{ ...ANSWER, status: 'refused', code: 'PROOF_MISSING', text: 'no', retryable: false }, 'refused'],
    [{ ...ANSWER, status: 'refused', code: 'SECRET_REFUSED', text: 'new key', retryable: false }, 'failed'],
    [{ ...ANSWER, status: 'failed', code: 'DISK_FAILED', text: 'broken', retryable: true }, 'failed'],
    [{ ...ANSWER, status: 'failed', code: 'MEMORY_STATE_LOST', text: 'gone', retryable: false }, 'refused'],
    [{ ...ANSWER, status: 'done', result: { step: 'forswear', epoch: 1 } } as HostReply, 'failed'],
  ])('%o is %s', async (reply, kind) => {
    expect((await hostsThatAnswer(reply).surrender()).kind).toBe(kind);
  });
});
