import type { Digest } from '@carnet/events';
import { refused } from '../codes.ts';
import type { HostCommand } from '../command/command.ts';
import type { HostReply, HostReport } from '../command/report.ts';
import { commandBytes } from '../command/wire.ts';
import { sha256 } from '../digest.ts';
import { type FenceRegister, openFenceRegister } from '../fence/register.ts';
import { REPLY_WITHIN_MS, STEPS_AT_ONCE_DEFAULT } from '../limits.ts';
import type { HostPorts } from '../ports/host-ports.ts';
import type { HostIdentity, StepEnd } from '../steps/step.ts';
import { keyOf } from '../steps/step-key.ts';
import { type HelloFacts, makeHello } from './hello.ts';
import { watchDomains } from './notices.ts';
import { logShelf, perform } from './perform.ts';
import { type Task, taskBoard } from './task-board.ts';

export type HostAgentOptions = HostIdentity & {
  readonly ports: HostPorts;
  readonly stepsAtOnce?: number;
  /** Milliseconds until `running` is answered; the step goes on. */
  readonly replyWithinMs?: number;
  readonly hello: HelloFacts;
};

/** One host of one CSP: what its broker may ask of it, and what it says unasked. */
export type HostAgent = {
  /** Performs a verified command. `digest`: of the payload as it was received; without it, of `commandBytes(command)`. */
  handle(command: HostCommand, digest?: Digest): Promise<HostReply>;
  hello(): Promise<Extract<HostReport, { readonly kind: 'hello' }>>;
  /** Notices and progress. Hellos are the caller's to send. */
  subscribe(listener: (report: HostReport) => void): () => void;
  /** Takes no new work, cuts transfers short, waits for the rest. */
  close(): Promise<void>;
  readonly fence: FenceRegister;
};

export function createHostAgent(options: HostAgentOptions): HostAgent {
  const { ports, domain, host, hello } = options;
  const fence = openFenceRegister(ports.files, ports.paths);
  const performer = { self: { domain, host }, ports, fence };
  const openLog = logShelf(ports);
  const notices = watchDomains(performer);
  let draining = false;

  const board = taskBoard(options.stepsAtOnce ?? STEPS_AT_ONCE_DEFAULT, (command, watch) =>
    perform(command, performer, openLog, watch),
  );

  /** undefined: perform it. */
  const before = (command: HostCommand): StepEnd | undefined => {
    if (command.host !== host) return refused('COMMAND_MISDIRECTED');
    const ended = board.endOf(command);
    if (ended !== undefined) return ended;
    if (draining) return refused('HOST_DRAINING');
    // The deadline is for taking the command up: a copy that began in time goes on.
    return command.deadline < ports.clock.now() && !board.has(command) ? refused('COMMAND_EXPIRED') : undefined;
  };

  return {
    fence,
    hello: () => makeHello(performer, hello),
    subscribe: notices.subscribe,
    handle: async (command, digest = sha256(commandBytes(command))) => {
      const posted = before(command) ?? board.post(command);
      if (!isTask(posted)) return reply(command, digest, posted);
      const end = await endWithin(posted, options.replyWithinMs ?? REPLY_WITHIN_MS, ports);
      const code = end !== undefined && 'code' in end ? { code: end.code } : {};
      ports.log.debug({ step: command.step, stepKey: keyOf(command), status: end?.status ?? 'running', ...code }, 'answered');
      return end === undefined ? running(command, digest, posted) : reply(command, digest, end);
    },
    close: async () => {
      draining = true;
      notices.close();
      for (const task of board.tasks()) task.abort();
      await Promise.allSettled(board.tasks().map(({ end }) => end));
    },
  };
}

const isTask = (posted: Task | StepEnd): posted is Task => 'end' in posted;

function reply({ id }: HostCommand, command: Digest, end: StepEnd): HostReply {
  const answers = { kind: 'reply', id, command } as const;
  switch (end.status) {
    case 'done': {
      const { result, evidence } = end;
      return evidence === undefined ? { ...answers, status: 'done', result } : { ...answers, status: 'done', result, evidence };
    }
    case 'failed':
      return { ...answers, status: 'failed', code: end.code, text: end.text, retryable: end.retryable };
    case 'refused':
      return { ...answers, status: 'refused', code: end.code, text: end.text, retryable: false };
  }
}

const running = ({ id }: HostCommand, command: Digest, { progress }: Task): HostReply =>
  progress === undefined
    ? { kind: 'reply', id, command, status: 'running' }
    : { kind: 'reply', id, command, status: 'running', progress };

async function endWithin(task: Task, ms: number, { clock }: HostPorts): Promise<StepEnd | undefined> {
  const waited = new AbortController();
  try {
    return await Promise.race([task.end, clock.sleep(ms, waited.signal).then(() => undefined)]);
  } finally {
    waited.abort();
  }
}
