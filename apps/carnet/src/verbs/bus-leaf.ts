import { Command } from 'commander';
import { EXIT, VerbError } from '../exit.ts';
import type { Streams } from '../world.ts';

const FORM = `A CSP's own nats-server stands between its broker and hosts and the bus: while the bus is away the CSP serves its own.
Let the bus's operator set [server] leaves, and broker and agents connect to your server ([bus] url, domain and serverName).

  domain = "csp-a.example"
  listen = "192.0.2.10:4222"
  hosts = ["host-1"]
  peers = ["csp-b.example"]
  certificateFile = "/etc/nats/server.pem"   # of spiffe://csp-a.example/server, and its issuer
  keyFile = "/etc/nats/server.key"
  rootFile = "/etc/carnet/root.pem"
  [hub]
  servers = ["nats.bus.example:7422"]
  keyPins = ["…"]                            # SHA-256 (hex) of the public key (DER) of each server of the bus`;

/** For the operator of a CSP that runs a nats-server of its own. */
export const leafVerb = ({ out }: Streams): Command =>
  new Command('leaf')
    .description('print the configuration of a CSP’s own nats-server, which calls the bus')
    .requiredOption('--config <file>', 'the CSP, its server and the bus (TOML)')
    .addHelpText('after', `\n${FORM}`)
    .action(async ({ config }: { readonly config: string }) => {
      const [{ loadConfig, ConfigError }, { leafFile, leafText }] = await Promise.all([
        import('@carnet/runtime'),
        import('../bus/leaf-file.ts'),
      ]);
      try {
        out(leafText(loadConfig(config, leafFile)));
      } catch (cause) {
        if (!(cause instanceof ConfigError)) throw cause;
        throw new VerbError(EXIT.usage, cause.code, [config, ...cause.faults].join('\n  '));
      }
    });
