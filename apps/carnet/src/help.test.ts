import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { EXIT } from './exit.ts';
import { program } from './program.ts';
import { carnet } from './testing/terminal.ts';
import type { Streams } from './world.ts';

// One golden file of all help texts; `CARNET_GOLDEN=write` writes it anew, to be read before it is committed.
const GOLDEN = join(import.meta.dirname, 'help.golden.txt');

const silent: Streams = {
  out: () => undefined,
  err: () => undefined,
  outIsTerminal: false,
  errIsTerminal: false,
  environment: {},
  nowMs: () => 0,
  random: (n) => new Uint8Array(n),
  interrupt: new AbortController().signal,
  input: async () => '',
  auditor: () => '',
};

/** Every group and verb, as words. */
const lines = (command: Command, words: readonly string[] = []): readonly (readonly string[])[] => [
  words,
  ...command.commands.filter((sub) => sub.name() !== 'help').flatMap((sub) => lines(sub, [...words, sub.name()])),
];

describe('help', () => {
  it('is as it was read and committed', async () => {
    let all = '';
    for (const words of lines(program(silent))) {
      // The auditor answers for its own words.
      if (words[0] === 'audit' && words.length > 1) continue;
      const { exit, out } = await carnet([...words, '--help'], '/nowhere');
      expect(exit).toBe(EXIT.done);
      all += `$ carnet ${[...words, '--help'].join(' ')}\n${out}\n`;
    }
    if (process.env['CARNET_GOLDEN'] === 'write' || !existsSync(GOLDEN)) writeFileSync(GOLDEN, all);
    expect(all).toBe(readFileSync(GOLDEN, 'utf8'));
  });

  it('has every verb of the command line', () => {
    const words = lines(program(silent)).map((line) => line.join(' '));
    for (const verb of ['plan', 'start', 'list', 'show', 'watch', 'wait', 'cancel', 'events'])
      expect(words).toContain(`migration ${verb}`);
    for (const line of [
      'key list',
      'key show',
      'peer list',
      'peer show',
      'host list',
      'cert list',
      'check cert',
      'authority serve',
      'event follow',
      'event get',
      'audit verify',
      'error',
      'completion',
    ]) {
      expect(words).toContain(line);
    }
  });

  it('says every exit code', async () => {
    const { out } = await carnet(['--help'], '/nowhere');
    for (const code of Object.values(EXIT)) expect(out).toMatch(new RegExp(`\\b${code} [a-z]`));
  });

  it('without a verb is wrong use', async () => {
    expect((await carnet([], '/nowhere')).exit).toBe(EXIT.usage);
    expect((await carnet(['migration'], '/nowhere')).exit).toBe(EXIT.usage);
  });
});
