import type { MigrationViews } from '@carnet/views';
import type { OpenCounts } from './policy-gate.ts';

/** Open migrations counted for a policy's limits; a limit above this is no limit. */
const COUNTED_MAX = 10_000;

export const openCounts =
  (views: MigrationViews, self: string): OpenCounts =>
  async (peer, except) => {
    const open = await views.list({ open: true, limit: COUNTED_MAX });
    const others = open.filter(({ migration }) => migration !== except);
    return {
      outgoing: others.filter(({ source, target }) => source === self && target === peer).length,
      incoming: others.filter(({ source, target }) => source === peer && target === self).length,
    };
  };
