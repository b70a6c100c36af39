import { Command } from 'commander';
import { type PolicyRow, type PolicySetRow, policyColumns, setColumns } from '../rows-policy.ts';
import { answered, type Streams, worldOf } from '../world.ts';
import { listVerb } from './collection.ts';
import type { TestOptions } from './policy-test.ts';

interface CurrentPolicy {
  readonly version: number;
  readonly policySet: string;
  readonly engine: string;
  readonly policies: readonly PolicyRow[];
}

/** The rules of this CSP. What judges them, and the engine, load with the verbs that need them. */
export function policyVerbs(streams: Streams): Command {
  const group = new Command('policy').description('the rules by which this CSP sends and receives');
  listVerb<PolicySetRow>(group, streams, '/v1/policies', 'policy sets that this CSP announced in its ledgers', setColumns);
  group
    .command('show')
    .description('the policies that decide now, those that no set can lift included')
    .action(async (_options: unknown, command: Command) => {
      const world = worldOf(command, streams);
      const broker = await world.broker();
      const { version, policySet, engine, policies } = answered(await broker.get<CurrentPolicy>('/v1/policy'));
      streams.err(`version ${version}, ${policySet}, ${engine}\n`);
      await world.list(policies, policyColumns);
    });
  group
    .command('test <directory>')
    .description('what this policy set would decide on a past migration; exit 5 where it denies')
    .option('--migration <id>', 'on this one')
    .option('--intent <file>', "on this MigrationIntended event, as `carnet event get` has it, by the source's rules")
    .option('--all', 'on all that this CSP has decided: lists those whose decision would change')
    .action(async (directory: string, options: TestOptions, command: Command) =>
      (await import('./policy-test.ts')).testPolicy(directory, options, worldOf(command, streams)),
    );
  group
    .command('explain <migration>')
    .description('which policies determined what was decided on a migration, and why')
    .action(async (id: string, _options: unknown, command: Command) =>
      (await import('./policy-test.ts')).explain(id, worldOf(command, streams)),
    );
  group
    .command('schema')
    .description('what policies may speak of, as Cedar has it')
    .action(async () => streams.out((await import('@carnet/policy')).SCHEMA));
  return group;
}
