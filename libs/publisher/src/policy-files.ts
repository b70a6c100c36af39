import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const IS_OF_SET =
  /^(set\.json|entities\.json|accreditors\.json|accreditations\.json|carnet\.cedarschema|[A-Za-z0-9][A-Za-z0-9._-]*\.cedar)$/;

/**
 * The files of a policy set's folder, by name; whatever else lies there is left alone. For brokers, auditors and the command line, which
 * all read the same folders.
 *
 * @throws what the file system throws
 */
export const readPolicyFiles = (directory: string): ReadonlyMap<string, string> =>
  new Map(
    readdirSync(directory)
      .filter((name) => IS_OF_SET.test(name))
      .toSorted()
      .map((name) => [name, readFileSync(join(directory, name), 'utf8')]),
  );
