import type { Diagnosis, MigrationDetail } from '../live/rows.ts';
import type { BrokenGlass } from './glass.ts';

/** A hand-over that goes well is in doubt for a moment, too: between the release and the target's answer, ms. */
const DOUBT_SHOWN_AFTER_MS = 10_000;

/** Phases in which the doctor is asked: nobody else can be in doubt. */
const ASKED: readonly string[] = ['released', 'imported', 'split-suspected'];
export const isAsked = ({ phase, ended }: Pick<MigrationDetail, 'phase' | 'ended'>): boolean => !ended && ASKED.includes(phase);

export interface Doubt {
  readonly title: string;
  readonly tone: 'danger' | 'warning' | 'info';
  /** Absent: only an unchecked event says it. */
  readonly since?: string;
}

/** What an operator has to be told above all else; `undefined`: all goes as it should. */
export function doubtOf(
  diagnosis: Pick<Diagnosis, 'standing' | 'exposedSince'> | undefined,
  broken: BrokenGlass | undefined,
  deadline: string | undefined,
  nowMs: number,
): Doubt | undefined {
  if (broken !== undefined) return brokenDoubt(broken);
  if (diagnosis?.standing === 'split')
    return { title: 'The glass was broken: the event that says so could not be checked here', tone: 'danger' };
  const since = diagnosis?.exposedSince;
  if (since === undefined || nowMs - Date.parse(since) < DOUBT_SHOWN_AFTER_MS) return undefined;
  const isLate = deadline !== undefined && Date.parse(deadline) < nowMs;
  return { title: 'In doubt: the key is released, and nobody has taken the VM', tone: isLate ? 'danger' : 'warning', since };
}

function brokenDoubt({ at, by, copy }: BrokenGlass): Doubt {
  const title = `The glass was broken: ${by} took the VM back`;
  switch (copy.kind) {
    case 'unknown':
      return { title: `${title}, and it may run twice`, tone: 'danger', since: at };
    case 'fenced':
      return { title: `${title}, and a stopped copy waits for people`, tone: 'warning', since: at };
    case 'given-back':
    case 'discarded':
      return { title, tone: 'info', since: at };
    default:
      return copy satisfies never;
  }
}

/** What to type, and where: this console signs nothing. `self`: whose console it is. */
export function commandsFor(
  { migration, source, target }: Pick<MigrationDetail, 'migration' | 'source' | 'target'>,
  broken: BrokenGlass | undefined,
  self: string | undefined,
): readonly string[] {
  if (broken !== undefined)
    return broken.copy.kind === 'fenced' && self === target
      ? [`carnet migration discard-copy ${migration} --reason 'why nobody needs it'`]
      : [];
  if (self !== source) return [];
  return [
    `carnet migration break-glass case ${migration} > case.json`,
    `# two operators of ${source}, each with an own certificate:`,
    "carnet migration break-glass sign case.json --reason 'why' > NAME.json",
    '# the owner, on an own machine, once sure that the target does not run the VM:',
    "carnet migration break-glass fenced case.json --key owner.pem --reason 'how that is known' > owner.json",
    `# after the deadline; ${source}’s policy set must let each operator who signed (action break-glass):`,
    `carnet migration break-glass resume ${migration} --person NAME.json --person OTHER.json --owner owner.json`,
  ];
}

/** Whom the ledgers owe nothing, and who has to decide nevertheless. */
export const decidesText = (broken: BrokenGlass | undefined, target: string): string | undefined =>
  broken?.copy.kind === 'fenced'
    ? `operators of ${target} decide about the stopped copy, when nobody needs it any more`
    : undefined;

/** What became of the copy at the target, in a sentence. */
export function copyText({ copy, opens }: Pick<BrokenGlass, 'copy' | 'opens'>, target: string): string {
  switch (copy.kind) {
    case 'unknown':
      return `${target} has not said yet what it has. If it runs the VM, it stops its copy once it hears of this.`;
    case 'given-back':
      return `${target} had not run it: it gave everything back and destroyed what it had.`;
    case 'fenced':
      return `Fenced: ${target} has stopped its copy and keeps it until an operator there discards it. The VM is the copy of epoch ${opens}.`;
    case 'discarded':
      return `Discarded by ${copy.by}: ${copy.reason}. Before, ${target} had stopped it and kept it.`;
    default:
      return copy satisfies never;
  }
}
