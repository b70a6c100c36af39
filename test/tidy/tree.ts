import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const root = join(import.meta.dirname, '../..');

export interface SourceFile {
  readonly path: string;
  readonly text: string;
  readonly lines: readonly string[];
}

/** Tracked and new files that git does not ignore: what a commit could hold. */
export function files(pattern: RegExp): readonly SourceFile[] {
  const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { cwd: root, encoding: 'utf8' });
  return listed
    .split('\n')
    .filter((path) => pattern.test(path))
    .flatMap((path) => {
      const text = readIfPresent(path);
      return text === undefined ? [] : [{ path, text, lines: text.split('\n') }];
    });
}

/** A file may be tracked and just deleted: then it is not part of the tree. */
function readIfPresent(path: string): string | undefined {
  try {
    return readFileSync(join(root, path), 'utf8');
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined;
    throw cause;
  }
}

/** Tests, and what only tests import: a lib's `src/testing/` is never reached from its index. */
export const isTest = (path: string): boolean =>
  /\.test\.tsx?$|\/src\/testing(\/|\.ts$)/.test(path) || path.startsWith('test/') || path.endsWith('contract-suite.ts');

/** Module specifiers of static and dynamic imports, re-exports included. */
export function imports(file: SourceFile): readonly string[] {
  const pattern = /(?:^|[\s;])(?:import|export)\s(?:[^'"`;]*?\sfrom\s*)?['"]([^'"]+)['"]|import\(\s*['"]([^'"]+)['"]\s*\)/g;
  return [...file.text.matchAll(pattern)].map((match) => match[1] ?? match[2] ?? '');
}
