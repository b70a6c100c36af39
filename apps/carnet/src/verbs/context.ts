import { Command } from 'commander';
import { contextFile } from '../context.ts';
import { type Streams, worldOf } from '../world.ts';

const FORM = `A context is a TOML file; paths in it are relative to it:

  url = "https://127.0.0.1:8443"
  serverName = "broker.csp-a.example"
  rootFile = "root.pem"
  certificateFile = "operator.pem"    # leaf and intermediate
  keyFile = "operator.key"
  # or, at the broker's token door: tokenFile = "scheduler.token"

--context NAME means NAME.toml in $XDG_CONFIG_HOME/carnet (default: ~/.config/carnet);
a value with a slash is a path; CARNET_CONTEXT gives the default.`;

export function contextVerb(streams: Streams): Command {
  const group = new Command('context').description('which broker this command line speaks to').addHelpText('after', `\n${FORM}`);
  group
    .command('show')
    .description('the context in use')
    .action((_options: unknown, command: Command) => {
      const world = worldOf(command, streams);
      const { address, file } = world.context();
      world.show({ file, url: address.url, serverName: address.serverName, credentials: address.credentials.kind }, [
        { name: 'file', cell: (row) => row.file },
        { name: 'url', cell: (row) => row.url },
        { name: 'server name', cell: (row) => row.serverName },
        { name: 'credentials', cell: (row) => row.credentials },
      ]);
    });
  group
    .command('path')
    .description('where the context file is looked for')
    .action((_options: unknown, command: Command) => streams.out(`${contextFile(command.optsWithGlobals<{ readonly context?: string }>().context, streams.environment)}\n`));
  return group;
}
