import type { MigrationViews } from '@carnet/views';
import type { OpenCounts } from './policy-gate.ts';

/** Open migrations counted for a policy's limits; a limit above this is no limit. */
const COUNTED_MAX = 10_000;

export const openCounts =
  (views: MigrationViews): OpenCounts =>
  async (peer, except) => {
    const others = (await views.list({ open: true, limit: COUNTED_MAX })).filter(({ migration }) => migration !== except);
    return {
      outgoing: others.filter(({ target }) => target === peer).length,
      incoming: others.filter(({ source }) => source === peer).length,
    };
  };
