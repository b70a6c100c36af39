import { Command } from 'commander';
import type { Streams } from '../world.ts';

const names = (command: Command): readonly string[] => command.commands.map((sub) => sub.name()).filter((name) => name !== 'help');
const flags = (command: Command): readonly string[] => command.options.flatMap((option) => option.long ?? []);

/** A bash script made from the program itself, so that it can never lag behind. */
function bash(root: Command): string {
  const groups = root.commands.map((group) => {
    const actions = group.commands.map((action) => `        "${group.name()} ${action.name()}") words="${flags(action).join(' ')}" ;;`);
    return [`        "${group.name()} "*) words="${names(group).join(' ')} ${flags(group).join(' ')}" ;;`, ...actions].toReversed().join('\n');
  });
  return `# bash completion for carnet; load it with: source <(carnet completion)
_carnet() {
  local words current="\${COMP_WORDS[COMP_CWORD]}"
  if [ "$COMP_CWORD" -le 1 ]; then
    words="${[...names(root), ...flags(root)].join(' ')}"
  else
    local verb="\${COMP_WORDS[1]} "
    [ "$COMP_CWORD" -gt 2 ] && verb="\${COMP_WORDS[1]} \${COMP_WORDS[2]}"
    case "$verb" in
${groups.join('\n')}
        *) words="" ;;
    esac
    words="$words ${flags(root).join(' ')}"
  fi
  COMPREPLY=( $(compgen -W "$words" -- "$current") )
}
complete -F _carnet carnet
`;
}

export const completionVerb = (streams: Streams, root: () => Command): Command =>
  new Command('completion').description('a completion script for bash: source <(carnet completion)').action(() => streams.out(bash(root())));
