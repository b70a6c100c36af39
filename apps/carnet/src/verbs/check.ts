import type { BrokerClient } from '@carnet/publisher';
import { Command } from 'commander';
import { count } from '../arguments.ts';
import type { CertificateRow } from '../certificate-rows.ts';
import { checkCertificates } from '../check-certificates.ts';
import { type Alarm, checkMigrations, type DoubtLimits } from '../check-migrations.ts';
import { CHECK, type Verdict } from '../check-verdict.ts';
import { Judged, VerbError } from '../exit.ts';
import { answered, type Streams, worldOf } from '../world.ts';

const EXIT_TEXT = `Exit codes of monitoring plugins:
  0 OK   1 WARNING   2 CRITICAL   3 UNKNOWN (the broker does not answer)`;

/** For monitoring: one line on stdout, and the exit code that such systems know. */
export function checkVerbs(streams: Streams): Command {
  const group = new Command('check').description('for monitoring: one line, and the exit codes of monitoring plugins');
  group
    .command('cert')
    .description('whether a certificate or revocation list ends soon')
    .addHelpText(
      'after',
      `\n${EXIT_TEXT}\n\nA warning comes when less than a quarter of a life is left (at most 90 days), CRITICAL below a tenth (30 days), or when one is refused.`,
    )
    .action((_options: unknown, command: Command) =>
      judged('CERT', command, streams, async (broker) => {
        const { items } = answered(await broker.get<{ readonly items: readonly CertificateRow[] }>('/v1/certificates'));
        return checkCertificates(items, streams.nowMs());
      }),
    );
  group
    .command('migration')
    .description('whether a migration is in doubt (key released, VM not taken), or overdue')
    .option('--warning <seconds>', 'in doubt for so long', count, 60)
    .option('--critical <seconds>', 'in doubt for so long', count, 600)
    .addHelpText(
      'after',
      `\n${EXIT_TEXT}\n\nWhat is overdue is a WARNING. A re-keying in full on arrival lies in the time in doubt: about 10 s per GiB.\n\`carnet migration doctor\` says what to do.`,
    )
    .action((limits: DoubtLimits, command: Command) =>
      judged('MIGRATION', command, streams, async (broker) => {
        const { items } = answered(await broker.get<{ readonly items: readonly Alarm[] }>('/v1/alarms'));
        return checkMigrations(items, limits);
      }),
    );
  return group;
}

async function judged(
  name: string,
  command: Command,
  streams: Streams,
  judge: (broker: BrokerClient) => Promise<Verdict>,
): Promise<never> {
  const { line, exit } = await verdictOf(name, command, streams, judge);
  streams.out(`${line}\n`);
  throw new Judged(exit);
}

async function verdictOf(
  name: string,
  command: Command,
  streams: Streams,
  judge: (broker: BrokerClient) => Promise<Verdict>,
): Promise<Verdict> {
  try {
    return await judge(await worldOf(command, streams).broker());
  } catch (cause) {
    if (!(cause instanceof VerbError)) throw cause;
    const [said = ''] = cause.message.split('\n');
    return { exit: CHECK.unknown, line: `${name} UNKNOWN - ${cause.code}: ${said}` };
  }
}
