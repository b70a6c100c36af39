import { Command } from 'commander';
import { count } from '../arguments.ts';
import { type CertificateRow, certificateColumns } from '../certificate-rows.ts';
import { answered, type Streams, worldOf } from '../world.ts';
import { oneOnly, REVOKES, type Reach, reachOf, reasonOption } from './authority-words.ts';
import { listVerb, showFromList } from './collection.ts';

interface RotateOptions {
  readonly file: string;
  readonly olderThanDays?: number;
}

interface RevokeOptions {
  readonly lastSeq: string;
  readonly reason: string;
}

const COMPROMISE = `Change the key first (rotate-event-key); the one that signs cannot be ended. From then on the peer refuses whatever the
old key signs. What it signed after --last-seq and before now stays placed, for everyone equally, and \`carnet audit verify\`
names it: look at those events, and end with your own what is not yours.`;

const ROTATION = `The new key takes the place of the file; the old one is destroyed. The broker reads it within seconds, announces it in
each ledger under its X.509 identity, and ends the old key ten minutes later: until then give the same file to every other replica.
For a timer: --older-than-days makes it do nothing before its time.`;

interface RenewOptions {
  readonly certificate: string;
  readonly key: string;
  readonly root: string;
  readonly crls: string;
  readonly issuer: string;
}

interface RequestOptions {
  readonly key: string;
  readonly id: string;
  readonly dns: readonly string[];
  readonly out: string;
}
const noNames: readonly string[] = [];

/** What an operator does with keys and certificates on the machine that has them. */
export function certVerbs(streams: Streams): Command {
  const group = new Command('cert').description('keys and certificates of this CSP');
  listVerb<CertificateRow>(
    group,
    streams,
    '/v1/certificates',
    'what the broker relies on, and when each ends',
    certificateColumns,
  );
  showFromList<CertificateRow>(
    group,
    streams,
    '/v1/certificates',
    'cert',
    certificateColumns,
    (row, name) => row.name === name || row.serial === name,
  );
  group
    .command('request')
    .description('make a key (unless it is there) and a certificate request for it')
    .requiredOption('--key <file>', 'PKCS #8 PEM, mode 600; it never leaves this machine')
    .requiredOption('--id <spiffe id>', 'whom the certificate shall name')
    .option('--dns <name>', 'a DNS name (repeat)', (one: string, before: readonly string[]) => [...before, one], noNames)
    .requiredOption('--out <file>', 'the request, for `carnet authority sign-leaf` or any other CA')
    .action(async (options: RequestOptions) => {
      const { makeRequest, mistakesSaid } = await import('../authority-run.ts');
      await mistakesSaid(() => makeRequest(options));
      streams.err(`carnet: made ${options.out}\n`);
    });
  const atIssuer = (usage: string, text: string): Command =>
    group
      .command(usage)
      .description(text)
      .requiredOption('--certificate <file>', 'leaf and intermediate, PEM')
      .requiredOption('--key <file>', 'its key')
      .requiredOption('--root <file>', 'the federation’s root, PEM')
      .requiredOption('--crls <dir>', 'CRLs of the root and of the CSP, *.der')
      .requiredOption('--issuer <url>', 'https://… of `carnet authority serve`; to renew, any EST server');
  atIssuer('revoke <serial>', 'revoke a certificate of this CSP for ever, as its operator')
    .addOption(reasonOption())
    .addOption(oneOnly())
    .addHelpText('after', `\n${REVOKES}`)
    .action(async (serial: string, options: RenewOptions & Reach) => {
      const { mistakesSaid, revokeAt } = await import('../renew-run.ts');
      const wish = { serial: serial.toLowerCase(), reason: options.reason, reach: reachOf(options.only) };
      await mistakesSaid(() => revokeAt(options, wish, streams.nowMs));
      streams.err('carnet: revoked; brokers that renew there know within a minute\n');
    });
  atIssuer(
    'renew',
    'renew a certificate after half of its life: both files are replaced; brokers and agents do it by themselves',
  ).action(async (options: RenewOptions) => {
    const { mistakesSaid, renewHere } = await import('../renew-run.ts');
    const notAfter = await mistakesSaid(() => renewHere(options, streams.nowMs));
    streams.err(`carnet: renewed until ${notAfter}\n`);
  });
  group
    .command('rotate-event-key')
    .description('make a new event-signing key for the broker')
    .requiredOption('--file <file>', 'the broker’s identity.eventKeyFile')
    .option('--older-than-days <days>', 'only if the key is older', count)
    .addHelpText('after', `\n${ROTATION}`)
    .action(async ({ file, olderThanDays }: RotateOptions, command: Command) => {
      const { rotateEventKey } = await import('../event-key.ts');
      const rotated = rotateEventKey(file, olderThanDays, streams.nowMs());
      await worldOf(command, streams).show(rotated, [
        { name: 'outcome', cell: (row) => row.outcome },
        { name: 'key', cell: (row) => row.keyid },
        { name: 'before', cell: (row) => row.before },
      ]);
    });
  group
    .command('revoke-event-key <peer> <key>')
    .description('end an event key that others may hold, in the ledger to one peer (administrator)')
    .requiredOption('--last-seq <position>', 'the last position of that ledger that you vouch for')
    .requiredOption('--reason <text>', 'said to the peer, and for ever')
    .addHelpText('after', `\n${COMPROMISE}`)
    .action(async (peer: string, key: string, { lastSeq, reason }: RevokeOptions, command: Command) => {
      const world = worldOf(command, streams);
      const broker = await world.broker();
      const path = `/v1/peers/${encodeURIComponent(peer)}/event-keys/${encodeURIComponent(key)}/end`;
      const ended = await broker.post<{ readonly key: string }>(path, { lastSeq, text: reason });
      await world.show(answered(ended), [{ name: 'key', cell: (row) => row.key }]);
    });
  return group;
}
