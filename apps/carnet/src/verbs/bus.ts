import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import type { BusFile } from '../bus/bus-file.ts';
import type { BusStanding } from '../bus/cut-off.ts';
import { EXIT, VerbError } from '../exit.ts';
import { type Streams, worldOf } from '../world.ts';
import { leafVerb } from './bus-leaf.ts';

interface BusOptions {
  readonly config: string;
}

const FORM = `nats-server knows no revocation lists: here its users follow them. A member whose certificate is revoked loses its
users, and the server reads its configuration again; nobody else is disturbed. What the member published stays.

  domain = "bus.example"
  listen = "0.0.0.0:4222"
  replicas = 3                           # of each ledger, where servers form a cluster
  [server]
  configFile = "/etc/nats/carnet.conf"   # written by this tool
  pidFile = "/run/nats/nats.pid"
  directory = "/var/lib/nats"
  certificateFile = "/etc/nats/server.pem"
  keyFile = "/etc/nats/server.key"
  leaves = "0.0.0.0:7422"                # members' own servers call here; absent: none (carnet bus leaf)
  [server.cluster]                       # absent: one server alone
  node = "bus-1"                         # another name in each server's file
  listen = "192.0.2.1:6222"
  routes = ["192.0.2.1:6222", "192.0.2.2:6222", "192.0.2.3:6222"]
  keyPins = ["…"]                        # SHA-256 (hex) of every server's public key (DER)
  [trust]
  rootFile = "/etc/carnet/root.pem"
  crlDirectory = "/etc/carnet/crls"
  marksFile = "/var/lib/carnet-bus/crl-numbers.json"
  [[members]]
  domain = "csp-a.example"
  hosts = ["host-1"]
  certificateFile = "/etc/carnet/members/csp-a.pem"   # broker's leaf and intermediate`;

const LOOK_MS = 2_000;

/** For whoever runs the federation's bus, on its machine. */
export function busVerbs(streams: Streams): Command {
  const group = new Command('bus')
    .description('the federation bus: who may connect (for its operator)')
    .addHelpText('after', `\n${FORM}`);
  group
    .command('apply')
    .description('write the server’s configuration by the revocation lists of now, and reload it if it changed')
    .requiredOption('--config <file>', 'members, trust and server (TOML)')
    .action(async (options: BusOptions, command: Command) => {
      const look = await keeper(options, streams);
      const { members, outcome } = look();
      streams.err(`carnet: ${outcome}\n`);
      await worldOf(command, streams).list(members, [
        { name: 'domain', cell: (row) => row.domain },
        { name: 'standing', cell: (row) => row.standing },
      ]);
    });
  group
    .command('watch')
    .description('apply whenever the revocation lists change, until interrupted')
    .requiredOption('--config <file>', 'members, trust and server (TOML)')
    .action(async (options: BusOptions) => {
      const look = await keeper(options, streams);
      let last = '';
      while (!streams.interrupt.aborted) {
        last = tell(look, streams, last);
        await sleep(LOOK_MS, undefined, { signal: streams.interrupt }).catch(() => undefined);
      }
    });
  group
    .command('streams')
    .description('make the ledgers of every pair on the server: what there is stays as it is')
    .requiredOption('--config <file>', 'members, pairs and trust (TOML)')
    .requiredOption('--certificate <file>', 'of spiffe://<domain of the bus>/operator, and its issuer (PEM)')
    .requiredOption('--key <file>', 'its private key (PEM)')
    .option('--server <url>', 'where the server listens', 'tls://127.0.0.1:4222')
    .option('--server-name <name>', 'DNS name in its certificate (default: nats.<domain of the bus>)')
    .action(async (options: StreamsOptions) => {
      const [file, { makeStreams }] = await Promise.all([read(options), import('../bus/make-streams.ts')]);
      const { certificate: certificateFile, key: keyFile, server, serverName = `nats.${file.domain}` } = options;
      const made = makeStreams(file, { server, serverName, certificateFile, keyFile });
      // A server that is down is tried for ever: whoever interrupts has waited enough.
      const given = new Promise<'given up'>((resolve) => streams.interrupt.addEventListener('abort', () => resolve('given up')));
      const outcome = await Promise.race([made, given]).catch((cause: unknown) => {
        throw new VerbError(EXIT.failed, 'BUS_NOT_APPLIED', cause instanceof Error ? cause.message : String(cause));
      });
      if (outcome === 'given up') throw new VerbError(EXIT.unreachable, 'BUS_NOT_APPLIED', `${server} did not answer`);
      streams.err('carnet: every pair has its ledgers on the bus\n');
    });
  group.addCommand(leafVerb(streams));
  return group;
}

interface StreamsOptions extends BusOptions {
  readonly certificate: string;
  readonly key: string;
  readonly server: string;
  readonly serverName?: string;
}

async function keeper({ config }: BusOptions, streams: Streams): Promise<() => BusStanding> {
  const [file, { openBusKeeper }] = await Promise.all([read({ config }), import('../bus/cut-off.ts')]);
  return openBusKeeper(file, streams.nowMs);
}

async function read({ config }: BusOptions): Promise<BusFile> {
  const [{ loadConfig, ConfigError }, { busFile }] = await Promise.all([import('@carnet/runtime'), import('../bus/bus-file.ts')]);
  try {
    return loadConfig(config, busFile);
  } catch (cause) {
    if (!(cause instanceof ConfigError)) throw cause;
    throw new VerbError(EXIT.usage, cause.code, [config, ...cause.faults].join('\n  '));
  }
}

/** A look that fails (a file in the middle of its replacement, a server that is down) is said, and done again. */
function tell(look: () => BusStanding, streams: Streams, last: string): string {
  let said: string;
  try {
    const { members, outcome } = look();
    said = members.map(({ domain, standing }) => `${domain} ${standing}`).join(', ');
    if (said === last && outcome === 'unchanged') return said;
    streams.err(`carnet: ${outcome}: ${said}\n`);
  } catch (cause) {
    said = cause instanceof Error ? cause.message : String(cause);
    if (said !== last) streams.err(`carnet: BUS_NOT_APPLIED: ${said}\n`);
  }
  return said;
}
