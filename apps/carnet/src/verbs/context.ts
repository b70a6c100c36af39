import { readdirSync } from 'node:fs';
import { Command } from 'commander';
import { type GlobalOptions, type Streams, worldOf } from '../world.ts';

const FORM = `A context is a TOML file; paths in it are relative to it:

  url = "https://127.0.0.1:8443"
  serverName = "broker.csp-a.example"
  rootFile = "root.pem"
  certificateFile = "operator.pem"    # leaf and intermediate
  keyFile = "operator.key"
  # or, at the broker's token door: tokenFile = "scheduler.token"

--context NAME means NAME.toml in $XDG_CONFIG_HOME/carnet (default: ~/.config/carnet);
a value with a slash is a path; CARNET_CONTEXT gives the default.`;

export function contextVerbs(streams: Streams): Command {
  const group = new Command('context').description('which broker this command line speaks to').addHelpText('after', `\n${FORM}`);
  group
    .command('show')
    .description('the context in use')
    .action(async (_options: unknown, command: Command) => {
      const world = worldOf(command, streams);
      const { address, file } = await world.context();
      await world.show({ file, url: address.url, serverName: address.serverName, credentials: address.credentials.kind }, [
        { name: 'file', cell: (row) => row.file },
        { name: 'url', cell: (row) => row.url },
        { name: 'server name', cell: (row) => row.serverName },
        { name: 'credentials', cell: (row) => row.credentials },
      ]);
    });
  group
    .command('list')
    .description('contexts in the configuration folder')
    .action(async (_options: unknown, command: Command) =>
      worldOf(command, streams).list(await contextNames(streams.environment), [{ name: 'name', cell: (row) => row.name }]),
    );
  group
    .command('path')
    .description('where the context file is looked for')
    .action(async (_options: unknown, command: Command) => {
      const { contextFile } = await import('@carnet/publisher');
      const { context } = command.optsWithGlobals<GlobalOptions>();
      streams.out(`${contextFile(context?.at(-1), streams.environment)}\n`);
    });
  return group;
}

async function contextNames(environment: NodeJS.ProcessEnv): Promise<readonly { readonly name: string }[]> {
  const { contextDirectory } = await import('@carnet/publisher');
  try {
    const files = readdirSync(contextDirectory(environment)).filter((file) => file.endsWith('.toml'));
    return files.toSorted().map((file) => ({ name: file.slice(0, -'.toml'.length) }));
  } catch {
    // No folder: no contexts.
    return [];
  }
}
