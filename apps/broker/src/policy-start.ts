import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PolicyAnnounced } from '@carnet/events';
import type { Journal } from '@carnet/journal';
import { downgradeOf, openPolicySet, POLICY_CODES, type PolicyRefusal, type PolicySet } from '@carnet/policy';
import { policyCrypto, readPolicyFiles } from '@carnet/publisher';

/** Ends the start: code, what is wrong, what to do. */
export class PolicyRefused extends Error {
  override readonly name = 'PolicyRefused';
  readonly code: PolicyRefusal['code'];
  constructor({ code, text }: PolicyRefusal, directory: string) {
    super(`${code}: ${directory}: ${POLICY_CODES[code].text} (${text}) ${POLICY_CODES[code].advice}`);
    this.code = code;
  }
}

/** @throws PolicyRefused, or what the file system throws */
export function readPolicySet(directory: string): PolicySet {
  const opened = openPolicySet(readPolicyFiles(directory), policyCrypto);
  if (!opened.ok) throw new PolicyRefused(opened, directory);
  if (!opened.value.isCurrent)
    throw new PolicyRefused(
      { ok: false, code: 'POLICY_BASE_OTHER', text: 'carnet.cedar or carnet.cedarschema differ' },
      directory,
    );
  return opened.value;
}

/** The ledgers remember which set was used last, and nobody can take it out of them. */
export async function refuseDowngrade(
  journal: Pick<Journal, 'policiesAnnounced'>,
  set: PolicySet,
  directory: string,
): Promise<void> {
  for (const announced of await policiesAnnounced(journal)) {
    const refusal = downgradeOf(set, announced);
    if (refusal !== undefined) throw new PolicyRefused(refusal, directory);
  }
}

export const policiesAnnounced = async (journal: Pick<Journal, 'policiesAnnounced'>): Promise<readonly PolicyAnnounced[]> =>
  (await journal.policiesAnnounced()).flatMap(({ event }) => (event?.type === 'PolicyAnnounced' ? [event.data] : []));

/**
 * Keeps each set that was ever decided by, in a folder named by version and digest: `carnet-audit --policies` reads them all. Whole, or
 * not there at all.
 */
export async function archivePolicySet({ ruledBy, files }: PolicySet, directory: string): Promise<void> {
  const to = join(directory, `${ruledBy.version}-${ruledBy.policySet}`);
  const draft = `${to}.${process.pid}.part`;
  await mkdir(draft, { recursive: true, mode: 0o700 });
  for (const [name, text] of files) await writeFile(join(draft, name), text, { mode: 0o600 });
  try {
    await rename(draft, to);
  } catch {
    // It is there: what has this digest has this content.
    await rm(draft, { recursive: true });
  }
}
