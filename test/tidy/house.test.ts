import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { files, isTest, root, type SourceFile } from './tree.ts';

const code = files(/^(libs|apps|infra)\/.*\.(ts|tsx|mjs)$/).filter((file) => !isTest(file.path));
const libs = code.filter((file) => file.path.startsWith('libs/'));
const everything = files(/\.(ts|tsx|mjs|js|json|md|toml|ya?ml|sh|sql|html|css)$|^\.ci\/run$|^\.npmrc$/).filter(
  (file) => file.path !== 'package-lock.json',
);

/** Lines of `among` that match, as `path:line: text`. Comments count too: a leftover is a leftover. */
const matching = (
  among: readonly SourceFile[],
  pattern: RegExp,
  except: (line: string, path: string) => boolean = () => false,
): readonly string[] =>
  among.flatMap((file) =>
    file.lines.flatMap((line, i) =>
      pattern.test(line) && !except(line, file.path) ? [`${file.path}:${i + 1}: ${line.trim()}`] : [],
    ),
  );

/** Files longer than this have two reasons to change. */
const LINES_MAX = 300;
const isComment = (line: string): boolean => /^\s*(\/\/|\*|\/\*)/.test(line);

describe('house rules', () => {
  it('source files stay small', () => {
    expect(
      code.filter((file) => file.lines.length > LINES_MAX).map((file) => `${file.path}: ${file.lines.length} lines`),
    ).toEqual([]);
  });

  it('libs take clock, randomness and output as ports', () => {
    const ports = /\bDate\.now\(|\bnew Date\(\)|\bMath\.random\(|\bconsole\./;
    expect(matching(libs, ports, isComment)).toEqual([]);
  });

  it('no leftovers', () => {
    const leftover = new RegExp(`\\b(${['TO', 'FIX', 'XX'].map((word, i) => word + ['DO', 'ME', 'X'][i]).join('|')})\\b`);
    expect(matching(everything, leftover)).toEqual([]);
  });

  it('types are not silenced', () => {
    expect(matching(code, /:\s*any\b|\bas any\b|<any>|@ts-(ignore|expect-error|nocheck)/, isComment)).toEqual([]);
  });

  it('no test is skipped, focused or empty', () => {
    const tests = files(/\.test\.tsx?$/);
    expect(tests.length).toBeGreaterThan(40);
    expect(
      matching(tests, /\b(it|test|describe)\.(skip|only|todo|skipIf|runIf)\b/, (_, path) => path.startsWith('test/tidy/')),
    ).toEqual([]);
  });

  it('HPKE is used in Base mode only', () => {
    expect(matching(code, /senderKey|senderPublicKey/, isComment)).toEqual([]);
  });

  it('no address of a registry, no path of one machine', () => {
    const lock = readFileSync(join(root, 'package-lock.json'), 'utf8');
    expect(lock).not.toMatch(/"resolved": "http/);
    const hosts = new RegExp(['registry\\.npm' + 'js', 'deb\\.deb' + 'ian\\.org', '(^|[^A-Za-z0-9_.])/wo' + 'rk/'].join('|'));
    expect(matching(everything, hosts)).toEqual([]);
  });

  it('dependencies are pinned exactly', () => {
    const loose = files(/(^|\/)package\.json$/).flatMap((file) => {
      const manifest = JSON.parse(file.text) as Record<string, Record<string, string> | undefined>;
      return ['dependencies', 'devDependencies', 'optionalDependencies'].flatMap((kind) =>
        Object.entries(manifest[kind] ?? {})
          .filter(([, version]) => !/^(npm:[^@]*@?[^@]+@)?\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))
          .map(([name, version]) => `${file.path}: ${name} ${version}`),
      );
    });
    expect(loose).toEqual([]);
  });

  it('each lib and app has its page', () => {
    const homes = new Set(files(/^(libs|apps)\/[^/]+\/package\.json$/).map((file) => file.path.replace('/package.json', '')));
    expect([...homes].filter((home) => !existsSync(join(root, home, 'README.md')))).toEqual([]);
  });
});
