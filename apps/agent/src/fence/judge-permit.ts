import { type Outcome, type RunPermit, refused, setBack } from '@carnet/hypervisor';
import { readTrustFiles } from '@carnet/pki';
import type { AgentConfig } from '../config.ts';
import { openKeptPermit } from '../run-permits.ts';
import { crlDirectoriesOf } from '../trust.ts';

/** Judges a kept permit by the root and the lists that lie here; a trust folder that cannot be read trusts nobody. */
export function judgePermitFile(file: Uint8Array, config: AgentConfig): Outcome<RunPermit> {
  try {
    const store = readTrustFiles({ rootFile: config.trust.rootFile, crlDirectories: crlDirectoriesOf(config) });
    return openKeptPermit(file, config, store);
  } catch {
    return setBack(refused('RUN_PERMIT_INVALID', '(the root or the revocation lists cannot be read)'));
  }
}
