import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { carnet } from './testing/terminal.ts';

const script = async (): Promise<string> => (await carnet(['completion'], '/nowhere')).out;

/** What bash offers after these words, the last of them unfinished. */
async function offered(words: readonly string[]): Promise<readonly string[]> {
  const line = `${await script()}
COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')})
COMP_CWORD=${words.length - 1}
_carnet
printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync('bash', ['--norc', '-c', line], { encoding: 'utf8' }).trim().split('\n');
}

describe('completion', () => {
  it('is a script that bash can read', async () => {
    execFileSync('bash', ['-n'], { input: await script() });
  });

  it.each<[string, readonly string[], readonly string[]]>([
    ['carnet migr<TAB>', ['carnet', 'migr'], ['migration']],
    ['carnet migration wa<TAB>', ['carnet', 'migration', 'wa'], ['watch', 'wait']],
    ['carnet migration start --m<TAB>', ['carnet', 'migration', 'start', '--m'], ['--mode']],
    ['carnet migration start x --no<TAB>', ['carnet', 'migration', 'start', 'x', '--no'], ['--not-after']],
    ['carnet key list --fo<TAB>', ['carnet', 'key', 'list', '--fo'], ['--format']],
    ['carnet migration plan --mode <TAB>', ['carnet', 'migration', 'plan', '--mode', ''], ['cold', 'suspend']],
    ['carnet key list -f js<TAB>', ['carnet', 'key', 'list', '-f', 'js'], ['json', 'jsonl']],
    ['carnet error --co<TAB>', ['carnet', 'error', '--co'], ['--columns', '--context']],
  ])('%s', async (_, words, expected) => {
    expect(await offered(words)).toEqual(expected);
  });
});
