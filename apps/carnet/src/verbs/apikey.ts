import { rmSync, writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { count } from '../arguments.ts';
import { EXIT, VerbError } from '../exit.ts';
import type { Column } from '../output.ts';
import { answered, type Streams, worldOf } from '../world.ts';
import { listVerb } from './collection.ts';

interface ApiKey {
  readonly id: string;
  readonly name: string;
  readonly principal: string;
  readonly roles: readonly string[];
  readonly project?: string;
  readonly state: string;
  readonly createdBy: string;
  readonly expiresAt: string;
  readonly lastUsedAt?: string;
}

const columns: readonly Column<ApiKey>[] = [
  { name: 'id', cell: (row) => row.id },
  { name: 'name', cell: (row) => row.name },
  { name: 'roles', cell: (row) => row.roles.join(', ') },
  { name: 'project', cell: (row) => row.project },
  { name: 'state', cell: (row) => row.state },
  { name: 'expires', cell: (row) => row.expiresAt },
  { name: 'last used', cell: (row) => row.lastUsedAt },
  { name: 'made by', cell: (row) => row.createdBy },
];

interface CreateOptions {
  readonly role: readonly string[];
  readonly days: number;
  readonly project?: string;
  readonly out: string;
}

export function apiKeyVerbs(streams: Streams): Command {
  const group = new Command('apikey').description("API keys of the broker's token door, for schedulers (administrators only)");
  listVerb<ApiKey>(group, streams, '/v1/apikeys', 'all keys, ended ones included; never their values', columns);
  group
    .command('create <name>')
    .description('a new key, as principal api-key/<name>; the policy set must grant that principal the roles')
    .requiredOption('--role <role...>', 'what it may be: viewer, scheduler, operator, auditor')
    .option('--days <n>', 'days until it ends, at most 366', count, 90)
    .option('--project <name>', 'the only project whose keys its holder may read; absent: the whole CSP')
    .requiredOption('--out <file>', 'a new file for the key, mode 600: it is shown nowhere, and said once')
    .action(async (name: string, { role, days, project, out }: CreateOptions, command: Command) => {
      const world = worldOf(command, streams);
      const broker = await world.broker();
      const row = await withNewFile(out, async () => {
        const { apiKey, ...made } = answered(
          await broker.act<ApiKey & { readonly apiKey: string }>('POST', '/v1/apikeys', { name, roles: role, days, project }),
        );
        return { text: `${apiKey}\n`, value: made };
      });
      await world.show(row, columns);
      streams.err(`carnet: the key is in ${out}; a context names it as tokenFile\n`);
    });
  group
    .command('revoke <id>')
    .description('end a key; its next request is refused')
    .action(async (id: string, _options: unknown, command: Command) => {
      const world = worldOf(command, streams);
      const broker = await world.broker();
      await world.show(answered(await broker.act<ApiKey>('DELETE', `/v1/apikeys/${encodeURIComponent(id)}`)), columns);
    });
  return group;
}

/** The file is made before the key is asked for: a key that could not be kept would be one more that nobody knows of. */
async function withNewFile<T>(path: string, make: () => Promise<{ readonly text: string; readonly value: T }>): Promise<T> {
  try {
    writeFileSync(path, '', { flag: 'wx', mode: 0o600 });
  } catch (cause) {
    throw new VerbError(EXIT.usage, 'ARGUMENT_INVALID', cause instanceof Error ? cause.message : String(cause));
  }
  try {
    const { text, value } = await make();
    writeFileSync(path, text);
    return value;
  } catch (cause) {
    rmSync(path);
    throw cause;
  }
}
