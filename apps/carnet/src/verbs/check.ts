import { Command } from 'commander';
import type { CertificateRow } from '../certificate-rows.ts';
import { CHECK, checkCertificates, type Verdict } from '../check-certificates.ts';
import { Judged, VerbError } from '../exit.ts';
import { answered, type Streams, worldOf } from '../world.ts';

const TEXT = `Exit codes of monitoring plugins:
  0 OK   1 WARNING   2 CRITICAL   3 UNKNOWN (the broker does not answer)

A warning comes when less than a quarter of a life is left (at most 90 days), CRITICAL below a tenth (30 days), or when one is refused.`;

/** For monitoring: one line on stdout, and the exit code that such systems know. */
export function checkVerbs(streams: Streams): Command {
  const group = new Command('check').description('for monitoring: one line, and the exit codes of monitoring plugins');
  group
    .command('cert')
    .description('whether a certificate or revocation list ends soon')
    .addHelpText('after', `\n${TEXT}`)
    .action(async (_options: unknown, command: Command) => {
      const { line, exit } = await certificatesAt(command, streams);
      streams.out(`${line}\n`);
      throw new Judged(exit);
    });
  return group;
}

async function certificatesAt(command: Command, streams: Streams): Promise<Verdict> {
  try {
    const broker = await worldOf(command, streams).broker();
    const { items } = answered(await broker.get<{ readonly items: readonly CertificateRow[] }>('/v1/certificates'));
    return checkCertificates(items, streams.nowMs());
  } catch (cause) {
    if (!(cause instanceof VerbError)) throw cause;
    const [said = ''] = cause.message.split('\n');
    return { exit: CHECK.unknown, line: `CERT UNKNOWN - ${cause.code}: ${said}` };
  }
}
