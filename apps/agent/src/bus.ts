import { setTimeout as sleep } from 'node:timers/promises';
import {
  chainSubject,
  commandSubject,
  crlSubject,
  type HostAgent,
  type HostReport,
  hailSubject,
  helloParts,
  type Log,
  reportSubject,
} from '@carnet/hypervisor';
import { clientTlsOptions, type LiveLeaf, type TlsMaterial, writePem } from '@carnet/pki';
import { connect, type Msg, type NatsConnection } from 'nats';
import { type BrokerKeys, openCommand, signReport } from './commands.ts';
import type { AgentConfig } from './config.ts';
import { BUS_DRAIN_MS_MAX, BUS_PING_MS, BUS_RECONNECT_MS, COMMANDS_AT_ONCE_MAX, HAIL_ANSWER_MS, HELLO_MS } from './limits.ts';
import { paced } from './paced.ts';

/**
 * Dials out: a hypervisor host listens for no command. Mutual TLS 1.3; the SPIFFE URI of the certificate is the NATS user, and
 * the server's certificate is judged with path validation and CRLs like any peer's.
 */
export function connectBus(config: AgentConfig, material: TlsMaterial): Promise<NatsConnection> {
  const { url, serverName, domain = serverName } = config.bus;
  // The client hands unknown members on to node:tls, which is where the judgement of the server's certificate sits.
  const { checkServerIdentity, minVersion, maxVersion } = clientTlsOptions(material, { trustDomain: domain }, serverName);
  const tls = {
    checkServerIdentity,
    minVersion,
    maxVersion,
    servername: serverName,
    rejectUnauthorized: true,
    // Asked at each connect: a certificate may have been renewed since.
    get key() {
      return material.keyPem;
    },
    get cert() {
      return material.chainPem;
    },
    ca: material
      .store()
      .roots.map((der) => writePem('CERTIFICATE', der))
      .join(''),
  };
  return connect({
    servers: url.split(','),
    name: `agent ${config.host}`,
    tls,
    waitOnFirstConnect: true,
    maxReconnectAttempts: -1,
    // A CSP that the bus's operator cut off, and let in again: its hosts come back by themselves.
    ignoreAuthErrorAbort: true,
    reconnectTimeWait: BUS_RECONNECT_MS,
    reconnectJitterTLS: BUS_RECONNECT_MS,
    pingInterval: BUS_PING_MS,
  });
}

export type BusOptions = {
  readonly bus: NatsConnection;
  readonly agent: HostAgent;
  readonly host: string;
  readonly keys: BrokerKeys;
  readonly leaf: Pick<LiveLeaf, 'current' | 'held'>;
  /** Learns the chain that our broker shows. */
  readonly learnChain: (bytes: Uint8Array) => void;
  /** Keeps the CRLs that our broker tells. */
  readonly takeCrl: (bytes: Uint8Array) => void;
  readonly log: Log;
};

export type BusService = {
  /** A hello now: what it says has changed. */
  greet(): Promise<void>;
  stop(): Promise<void>;
};

/** Answers the broker's commands and tells it what happens here. `stop` answers what is under way, then falls silent. */
export function serveBus({ bus, agent, host, keys, leaf, learnChain, takeCrl, log }: BusOptions): BusService {
  // The broker knows the leaf that the last hello introduced: answers are signed by that one, also where a newer one is there.
  let introduced = leaf.current();
  let underJudgement = 0;
  const answer = async (message: Msg): Promise<void> => {
    const opened = openCommand(message.data, keys);
    if ('rejected' in opened) {
      log.warn({ code: 'COMMAND_UNTRUSTED', why: opened.rejected }, 'command ignored');
      return;
    }
    message.respond(signReport(await agent.handle(opened.command, opened.digest), introduced.signer));
  };
  const take = async (message: Msg): Promise<void> => {
    // Dropped, not queued: the broker asks again, and a flood must not fill this host's memory.
    if (underJudgement >= COMMANDS_AT_ONCE_MAX) return;
    underJudgement += 1;
    try {
      await answer(message);
    } catch (cause) {
      log.error({ err: cause }, 'command failed');
    } finally {
      underJudgement -= 1;
    }
  };
  const subscription = bus.subscribe(commandSubject(host), {
    callback: (error, message) => {
      if (error === null) void take(message);
    },
  });

  /** What throws in a callback of the client ends its reading: this host would hear no command any more. */
  const heard = (what: string, work: (bytes: Uint8Array) => void) => ({
    callback: (error: Error | null, message: Msg): void => {
      if (error !== null) return;
      try {
        work(message.data);
      } catch (cause) {
        log.error({ err: cause, what }, 'what the broker told could not be kept');
      }
    },
  });
  const crls = bus.subscribe(crlSubject(host), heard('CRLs', takeCrl));
  const chains = bus.subscribe(chainSubject(host), heard('chain', learnChain));

  const report = (what: HostReport): void => {
    if (!bus.isClosed()) bus.publish(reportSubject(host), signReport(what, introduced.signer));
  };
  const greet = (): Promise<void> =>
    agent
      .hello()
      .then((hello) => {
        introduced = leaf.held().find(({ chain }) => chain[0] === hello.chain[0]) ?? introduced;
        for (const part of helloParts(hello)) report(part);
      })
      .catch((cause: unknown) => log.warn({ err: cause }, 'hello failed'));
  // Nobody signs a hail: whoever sends one gets no more than a hello, and a flood of them no flood of hellos.
  const hailed = paced(HAIL_ANSWER_MS, greet);
  const hails = bus.subscribe(hailSubject(host), {
    callback: (error) => {
      if (error === null) hailed.ask();
    },
  });
  const unsubscribe = agent.subscribe((what) => {
    report(what);
    // The broker learns at once that libvirtd is there, and which ephemeral secrets are gone.
    if (what.kind === 'notice' && what.event === 'libvirt-back') void greet();
    // A VM that changed makes the last hello untrue: lists show the new state at once, not after ten seconds.
    else if (what.kind === 'notice' && what.vm !== undefined) hailed.ask();
  });
  const timer = setInterval(() => void greet(), HELLO_MS);
  void greet();
  const watch = watchBus(bus, greet, log);

  return {
    greet,
    stop: async () => {
      clearInterval(timer);
      unsubscribe();
      subscription.unsubscribe();
      hails.unsubscribe();
      crls.unsubscribe();
      chains.unsubscribe();
      hailed.stop();
      await agent.close();
      await leave(bus);
      await watch;
    },
  };
}

/** What is said last is flushed; a bus that is away is not waited for. */
async function leave(bus: NatsConnection): Promise<void> {
  const given = new AbortController();
  await Promise.race([bus.drain(), sleep(BUS_DRAIN_MS_MAX, undefined, { signal: given.signal })]).catch(() => undefined);
  given.abort();
  await bus.close();
}

/** After a reconnect the broker hears a hello at once, not after ten seconds. */
async function watchBus(bus: NatsConnection, greet: () => Promise<void>, log: Log): Promise<void> {
  for await (const { type } of bus.status()) {
    log.debug({ type }, 'bus');
    if (type === 'reconnect') void greet();
  }
}
