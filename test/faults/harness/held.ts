import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Artifacts } from '@carnet/hypervisor';

const LOOK_MS = 20;
const holdFile = (stateDir: string): string => join(stateDir, 'hold-receiving');

/** From now on, what this host begins to receive does not arrive; the step answers `running` meanwhile. */
export const holdReceiving = (stateDir: string): void => writeFileSync(holdFile(stateDir), '');
export const letReceive = (stateDir: string): void => rmSync(holdFile(stateDir), { force: true });

/** A host whose link a test may hold up, so that many migrations stand at one and the same step. */
export const heldArtifacts = (artifacts: Artifacts, stateDir: string): Artifacts => ({
  ...artifacts,
  pull: async (request) => {
    while (existsSync(holdFile(stateDir)) && !request.signal.aborted) await sleep(LOOK_MS);
    return artifacts.pull(request);
  },
});
