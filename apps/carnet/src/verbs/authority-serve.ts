import { once } from 'node:events';
import { Command } from 'commander';
import { EXIT, VerbError } from '../exit.ts';
import type { Streams } from '../world.ts';

const TEXT = `Brokers and agents whose configuration has \`[renewal] url\` renew their certificates here after two thirds of their life, by
simplereenroll of EST (RFC 7030): whoever shows a leaf that is still good gets one with the same names for a new key, once, after half
of its life, and nobody gets anything else. First certificates are yours to sign. A leaf that is to end is revoked, and what it was
renewed to ends with it. RENEWAL_REPEATED below: two hold that key, and one of them got the next leaf.

  domain = "csp-a.example"
  directory = "/var/lib/carnet-issuer"
  passphraseFile = "/etc/carnet/issuer.pass"
  [listen]
  address = "192.0.2.7"
  port = 8443
  [identity]                                    # profile server, id spiffe://csp-a.example/server/issuer
  certificateFile = "/etc/carnet/issuer.pem"
  keyFile = "/etc/carnet/issuer.key"
  [trust]
  rootFile = "/etc/carnet/root.pem"
  crlDirectory = "/etc/carnet/crls"
  marksFile = "/var/lib/carnet-issuer/crl-numbers.json"`;

interface ServeOptions {
  readonly config: string;
}

/** The issuing authority as a service inside its CSP. */
export const serveVerb = (streams: Streams): Command =>
  new Command('serve')
    .description('renew the CSP’s leaves for whoever holds one, and keep its CRL fresh, until interrupted')
    .requiredOption('--config <file>', 'TOML')
    .addHelpText('after', `\n${TEXT}`)
    .action(async ({ config }: ServeOptions) => {
      const [{ loadConfig, ConfigError }, { issuerFile }, { runIssuer }, { mistakesSaid }] = await Promise.all([
        import('@carnet/runtime'),
        import('../issuer/issuer-file.ts'),
        import('../issuer/run-issuer.ts'),
        import('../authority-run.ts'),
      ]);
      try {
        const file = loadConfig(config, issuerFile);
        const issuer = await mistakesSaid(() => runIssuer(file, streams));
        streams.err(`carnet: serving renewals of ${file.domain} on port ${issuer.port}\n`);
        if (!streams.interrupt.aborted) await once(streams.interrupt, 'abort');
        await issuer.stop();
      } catch (cause) {
        if (!(cause instanceof ConfigError)) throw cause;
        throw new VerbError(EXIT.usage, cause.code, [config, ...cause.faults].join('\n  '));
      }
    });
