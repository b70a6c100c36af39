import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { openPolicySet } from '@carnet/policy';
import { policyCrypto, readPolicyFiles } from '@carnet/publisher';
import type { PolicySets } from '../core/rules.ts';
import { AuditError, EXIT } from '../exit.ts';

/**
 * A folder that is a policy set, or holds one in each of its own folders, as a broker's archive does.
 *
 * @throws AuditError FILE_UNREADABLE, POLICIES_UNUSABLE
 */
export function readPolicySets(directory: string): PolicySets {
  const sets = namesOf(directory).map((path) => {
    const opened = openPolicySet(
      unlessUnreadable(() => readPolicyFiles(path)),
      policyCrypto,
    );
    if (!opened.ok) throw new AuditError('POLICIES_UNUSABLE', EXIT.failed, `${path}: ${opened.code}: ${opened.text}`);
    return opened.value;
  });
  if (sets.length === 0) throw new AuditError('POLICIES_UNUSABLE', EXIT.failed, `${directory} holds no policy set`);
  return new Map(sets.map((set) => [set.ruledBy.policySet, set]));
}

const namesOf = (directory: string): readonly string[] =>
  unlessUnreadable(() => {
    const names = readdirSync(directory).toSorted();
    if (names.includes('set.json')) return [directory];
    return names.map((name) => join(directory, name)).filter((path) => statSync(path).isDirectory() && !path.endsWith('.part'));
  });

function unlessUnreadable<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new AuditError('FILE_UNREADABLE', EXIT.failed, cause instanceof Error ? cause.message : String(cause), cause);
  }
}
