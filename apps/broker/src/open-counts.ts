import type { MigrationViews } from '@carnet/views';
import type { OpenCounts } from './policy-gate.ts';

export const openCounts =
  (views: Pick<MigrationViews, 'countOpen'>): OpenCounts =>
  async (peer, except) => {
    const { fromPeer, toPeer } = await views.countOpen(peer, except);
    return { outgoing: toPeer, incoming: fromPeer };
  };
