import { Command } from 'commander';
import type { Streams } from '../world.ts';

const namesOf = (command: Command): readonly string[] =>
  command.commands.map((sub) => sub.name()).filter((name) => name !== 'help');
const flagsOf = (command: Command): readonly string[] => command.options.flatMap((option) => option.long ?? []);

/** One line of a bash `case`: these words when this was typed. */
const offers = (pattern: string, words: readonly string[]): string => `    ${pattern}) words="${words.join(' ')}" ;;`;

/** After an option that takes one of few values: those. */
const choicesOf = (command: Command): readonly string[] => [
  ...command.options.flatMap(({ short, long, argChoices }) =>
    argChoices === undefined ? [] : [offers([short, long].filter((flag) => flag !== undefined).join('|'), argChoices)],
  ),
  ...command.commands.flatMap((sub) => choicesOf(sub)),
];

/** A bash script made from the program itself, so that it can never lag behind. */
function bash(root: Command): string {
  const global = flagsOf(root);
  // Actions before their groups: the first pattern that fits counts.
  const lines = root.commands.flatMap((group) => [
    ...group.commands.map((action) => offers(`"${group.name()} ${action.name()}"`, [...flagsOf(action), ...global])),
    offers(`"${group.name()} "*`, [...namesOf(group), ...flagsOf(group), ...global]),
  ]);
  return `# bash completion for carnet; load it with: source <(carnet completion)
_carnet() {
  local words="" current="\${COMP_WORDS[COMP_CWORD]}" verb="\${COMP_WORDS[1]} "
  [ "$COMP_CWORD" -gt 2 ] && verb="\${COMP_WORDS[1]} \${COMP_WORDS[2]}"
  if [ "$COMP_CWORD" -le 1 ]; then
    words="${[...namesOf(root), ...global].join(' ')}"
  else case "\${COMP_WORDS[COMP_CWORD-1]}" in
${[...new Set(choicesOf(root))].join('\n')}
    *) case "$verb" in
${lines.join('\n')}
    esac ;;
  esac; fi
  COMPREPLY=( $(compgen -W "$words" -- "$current") )
}
complete -F _carnet carnet
`;
}

export const completionVerb = (streams: Streams, root: () => Command): Command =>
  new Command('completion')
    .description('a completion script for bash: source <(carnet completion)')
    .action(() => streams.out(bash(root())));
