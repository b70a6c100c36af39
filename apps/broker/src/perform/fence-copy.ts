import { migrationOf } from '@carnet/saga';
import { failed, type PerformContext, type Performed, type Performer, propose, stepOf, unfinished } from './context.ts';
import type { TargetCommand } from './relinquish.ts';

/**
 * Why what the source says of a broken glass need not be believed. Threat: a source without a quorum makes its peer stop, or give back,
 * a VM that the peer has. Then nothing is stopped here, people are told, and the event convicts its publisher.
 */
export async function brokenGlassFault(context: PerformContext, command: TargetCommand): Promise<Performed | undefined> {
  const m = migrationOf(await context.ledgers.journey(command.vm, command.peer), command.migration, context.self, 'target');
  const broke = m?.facts.BreakGlassResumed;
  if (m === undefined || broke === undefined) return undefined;
  const fault = await context.peers.breakGlassFault(m, broke);
  return fault === undefined ? undefined : failed(fault.code, `the source broke the glass without right: ${fault.text}`);
}

/** The source runs the VM in a higher epoch: the copy here is stopped, fenced and kept, and its CSP says so. */
export const fenceCopy: Performer<'FenceCopy'> = async (context, command) => {
  const fault = await brokenGlassFault(context, command);
  if (fault !== undefined) return fault;
  const { MigrationOffered: offer, BreakGlassResumed: broke } = command.facts;
  const stopped = await context.hosts.step(stepOf(command, offer.data.agent.host), 'standDown', async () => ({}));
  if (stopped.kind === 'refused') return failed(stopped.code, stopped.text);
  if (stopped.kind !== 'done') return unfinished(stopped);
  const { evidence } = stopped;
  if (evidence === undefined) return failed('EVIDENCE_MISSING', 'the host gave no signed evidence');
  return propose(context, command, async () => ({
    type: 'CopyFenced',
    migration: command.migration,
    data: { breakGlass: broke.digest, evidence },
  }));
};
