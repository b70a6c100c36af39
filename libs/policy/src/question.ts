import {
  type BreakGlassQuestion,
  type EventData,
  isSamePerson,
  type PolicyQuestion,
  UNRESTRICTED,
  type VmId,
  type VmSpec,
} from '@carnet/events';
import type { Entity, Request, Uid, Value } from './engine.ts';
import type { Person } from './entities.ts';

/** What an intent says of itself before policy has spoken, and the epoch that it would open. */
export type Move = Pick<
  EventData<'MigrationIntended'>,
  'vm' | 'source' | 'target' | 'mode' | 'rekey' | 'spec' | 'request' | 'approvals' | 'consent' | 'accreditations' | 'deadline'
> & { readonly epoch: number };

const uid = (type: string, id: string): Uid => ({ type, id });
const ref = (type: string, id: string): Value => ({ __entity: { type, id } });
const WEEKDAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'] as const;

/** The home domain of a VM id. */
export const homeOf = (vm: VmId): string => vm.slice(0, vm.indexOf('/'));

type Placed = Pick<PolicyQuestion, 'vm' | 'source' | 'target' | 'mode' | 'time'>;

const datetime = (arg: string): Value => ({ __extn: { fn: 'datetime', arg } });

const contextOf = ({ source, target, mode, time }: Placed): Readonly<Record<string, Value>> => ({
  source: ref('Csp', source),
  target: ref('Csp', target),
  mode,
  time: datetime(time),
  weekday: WEEKDAYS[new Date(time).getUTCDay()] ?? '',
});

/** The VM as policies see it. Every name in it is data: no text of a request is ever parsed as policy. */
export function vmEntity(vm: VmId, spec: VmSpec): Entity {
  const { project, labels, level, jurisdictions, onward, legalHold, owner, accreditations } = spec.restrictions ?? UNRESTRICTED;
  const home = homeOf(vm);
  const inProject = uid('Project', `${home}/${project}`);
  return {
    uid: uid('Vm', vm),
    parents: [inProject],
    attrs: {
      home: ref('Csp', home),
      project: ref(inProject.type, inProject.id),
      vcpus: spec.vcpus,
      memoryMiB: spec.memoryMiB,
      diskBytes: spec.disks.reduce((sum, { capacityBytes }) => sum + capacityBytes, 0),
      labels: [...labels],
      level,
      ...(jurisdictions === undefined ? {} : { jurisdictions: [...jurisdictions] }),
      onward,
      legalHold,
      ...(owner === undefined ? {} : { owner }),
      ...(accreditations === undefined ? {} : { accreditations: [...accreditations] }),
    },
  };
}

/** What is known of a move beside the question, from the intent alone. */
type Known = {
  readonly secondPerson: Value;
  readonly consent: string;
  readonly accredited: Value;
  readonly accreditedLevel: Value;
  readonly accreditation: string;
};

/**
 * Cedar compares names, and a person may have several: whoever is the principal under another name stands here under the principal's.
 */
const userBeside = (principal: string, other: string): Value => ref('User', isSamePerson(principal, other) ? principal : other);

/** The request as the engine gets it. */
export function requestOf(question: PolicyQuestion, known: Known): Request {
  const { action, principal, vm, rekey = 'none', open, approvers, hostLevel = 0 } = question;
  const { accreditation, ...of } = known;
  const common = { ...contextOf(question), rekey, open: { ...open }, ...of };
  const context =
    action === 'send'
      ? { ...common, accreditation, approvers: approvers.map((one) => userBeside(principal, one)) }
      : { ...common, hostLevel };
  return {
    principal: uid(action === 'send' ? 'User' : 'Csp', principal),
    action: uid('Action', action),
    resource: uid('Vm', vm),
    context,
  };
}

/** Whether somebody may approve another one's request. */
export type ApprovalQuestion = Placed & { readonly approver: Person; readonly asker: string };

export const approvalRequestOf = (asked: ApprovalQuestion): Request => ({
  principal: uid('User', asked.approver.principal),
  action: uid('Action', 'approve'),
  resource: uid('Vm', asked.vm),
  context: { ...contextOf(asked), asker: userBeside(asked.approver.principal, asked.asker) },
});

/** One of those who break a glass. Among the persons it stands under this name: they are several, by `breakGlassFault`. */
export const breakGlassRequestOf = (asked: BreakGlassQuestion): Request => ({
  principal: uid('User', asked.principal),
  action: uid('Action', asked.action),
  resource: uid('Vm', asked.vm),
  context: {
    ...contextOf(asked),
    released: datetime(asked.released),
    persons: asked.persons.map((one) => userBeside(asked.principal, one)),
  },
});
