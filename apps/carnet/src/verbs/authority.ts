import type { LeafProfile } from '@carnet/pki';
import { Command, Option } from 'commander';
import { count } from '../arguments.ts';
import type { RegisterRow, Where } from '../authority-run.ts';
import type { Column } from '../output.ts';
import { type Streams, worldOf } from '../world.ts';
import { serveVerb } from './authority-serve.ts';
import { oneOnly, PROFILES, REVOKES, type Reach, reachOf, reasonOption } from './authority-words.ts';

const TEXT = `Works in a directory, without network. The federation's root signs one issuing authority for each CSP and nothing else:

  root$ carnet authority init --dir root --passphrase-file pass --name "Federation root"
  csp$  carnet authority init --dir issuer --passphrase-file pass --domain csp-a.example     # key and issuer/authority.csr
  root$ carnet authority sign-csp --dir root --passphrase-file pass --domain csp-a.example --request authority.csr --out a.pem
  csp$  carnet authority accept --dir issuer --certificate a.pem --root root.pem
  host$ carnet cert request --key agent.key --id spiffe://csp-a.example/agent/h1 --dns h1.csp-a.example --out agent.csr
  csp$  carnet authority sign-leaf --dir issuer --passphrase-file pass --profile agent --id spiffe://csp-a.example/agent/h1 \\
          --dns h1.csp-a.example --request agent.csr --out agent.pem
  csp$  carnet authority crl --dir issuer --passphrase-file pass                             # issuer/crl.der

Any CA may stand for the root (Dogtag, EJBCA, openssl): have it sign authority.csr with critical name constraints; \`accept\` says
what it made wrong. Of a request only key and names are read; its other extensions are never copied. A passphrase comes from a
file of mode 600, e.g. --passphrase-file <(systemd-ask-password).`;

const columns: readonly Column<RegisterRow>[] = [
  { name: 'serial', cell: (row) => row.serial },
  { name: 'profile', cell: (row) => row.profile },
  { name: 'name', cell: (row) => row.name },
  { name: 'not after', cell: (row) => row.notAfter },
  { name: 'days left', cell: (row) => row.daysLeft },
  { name: 'state', cell: (row) => row.state, tone: (row) => (row.state === 'good' ? undefined : 'bad') },
];

const run = () => import('../authority-run.ts');
const collect = (one: string, before: readonly string[]): readonly string[] => [...before, one];
const noNames: readonly string[] = [];

/** For whoever holds the root, and for each CSP's own issuing authority. */
export function authorityVerbs(streams: Streams): Command {
  const group = new Command('authority')
    .description('certificate authorities: the federation’s root, and a CSP’s issuing authority')
    .addHelpText('after', `\n${TEXT}`);
  const verb = (usage: string, text: string): Command =>
    group.command(usage).description(text).requiredOption('--dir <dir>', 'the authority’s directory');
  const keyed = (usage: string, text: string): Command =>
    verb(usage, text).requiredOption('--passphrase-file <file>', 'one line; opens the authority’s key');

  keyed('init', 'a new root, or with --domain a CSP’s issuing authority')
    .option('--name <name>', 'of the root', 'Carnet federation root')
    .option('--domain <domain>', 'of the CSP: makes a key and a request for the root')
    .option('--days <days>', 'life of the root', count, 3_650)
    .action(async ({ name, domain, days, ...where }: Where & { name: string; domain?: string; days: number }) => {
      const { makeIssuer, makeRoot, mistakesSaid } = await run();
      await mistakesSaid(() =>
        domain === undefined ? makeRoot(where, name, days, streams) : makeIssuer(where, domain, streams),
      );
      streams.err(`carnet: made ${domain === undefined ? `${where.dir}/authority.pem` : `${where.dir}/authority.csr`}\n`);
    });
  signingVerbs(keyed, verb, streams);
  verb('list', 'every certificate that this authority issued').action(async ({ dir }: Where, command: Command) => {
    const { mistakesSaid, registerRows } = await run();
    await worldOf(command, streams).list(await mistakesSaid(() => registerRows(dir, streams.nowMs())), columns);
  });
  keyed('revoke <serial>', 'revoke a certificate for ever, and make the CRL that says so')
    .addOption(reasonOption())
    .addOption(oneOnly())
    .option('--crl-days <days>', 'until the CRL is stale', count, 7)
    .addHelpText('after', `\n${REVOKES}`)
    .action(async (serial: string, { reason, only, crlDays, ...where }: Where & Reach & { crlDays: number }) => {
      const { mistakesSaid, revokeIn } = await run();
      const wish = { serial: serial.toLowerCase(), reason, reach: reachOf(only), crlDays };
      await mistakesSaid(() => revokeIn(where, wish, streams));
      streams.err(`carnet: revoked; bring ${where.dir}/crl.der to every broker\n`);
    });
  keyed('crl', 'make a new CRL: its number is above all before')
    .option('--days <days>', 'until it is stale', count, 7)
    .action(async ({ days, ...where }: Where & { days: number }) => {
      const { crlIn, mistakesSaid } = await run();
      await mistakesSaid(() => crlIn(where, days, streams));
      streams.err(`carnet: made ${where.dir}/crl.der\n`);
    });
  group.addCommand(serveVerb(streams));
  return group;
}

type SignCsp = Where & { readonly domain: string; readonly request: string; readonly out: string; readonly days: number };
type SignLeaf = Where & {
  readonly profile: LeafProfile;
  readonly id: string;
  readonly dns: readonly string[];
  readonly request: string;
  readonly out: string;
  readonly days: number;
};
type MakeVerb = (usage: string, text: string) => Command;

function signingVerbs(keyed: MakeVerb, verb: MakeVerb, streams: Streams): void {
  keyed('sign-csp', 'root only: sign the request of a CSP’s issuing authority, bound to its domain')
    .requiredOption('--domain <domain>', 'the CSP’s; what the request says of itself counts for nothing')
    .requiredOption('--request <file>', 'its authority.csr (compare its digest with the CSP by another way)')
    .requiredOption('--out <file>', 'where the certificate goes')
    .option('--days <days>', 'life of the certificate', count, 730)
    .action(async (options: SignCsp) => {
      const { mistakesSaid, signCsp } = await run();
      await mistakesSaid(() => signCsp(options, options, streams));
      streams.err(`carnet: made ${options.out}\n`);
    });
  verb('accept', 'take the signed certificate of an issuing authority, whoever signed it')
    .requiredOption('--certificate <file>', 'PEM')
    .requiredOption('--root <file>', 'the root that signed it, PEM')
    .action(async (options: { dir: string; certificate: string; root: string }) => {
      const { acceptCsp, mistakesSaid } = await run();
      await mistakesSaid(() => acceptCsp(options.dir, options, streams));
      streams.err(`carnet: accepted into ${options.dir}/authority.pem\n`);
    });
  keyed('sign-leaf', 'sign a request as a leaf of one profile, for the name that you say')
    .addOption(new Option('--profile <profile>', 'what the leaf may do').choices(PROFILES).makeOptionMandatory())
    .requiredOption('--id <spiffe id>', 'whom it names')
    .option('--dns <name>', 'a DNS name, for those that are dialled by name (repeat)', collect, noNames)
    .requiredOption('--request <file>', 'PEM; may ask for no other name')
    .requiredOption('--out <file>', 'where leaf and intermediate go')
    .option('--days <days>', 'life of the leaf, and of each that renews it', count, 30)
    .action(async (options: SignLeaf) => {
      const { mistakesSaid, signFor } = await run();
      await mistakesSaid(() => signFor(options, options, streams));
      streams.err(`carnet: made ${options.out}\n`);
    });
}
