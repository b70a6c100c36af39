import type { CommandType } from './command.ts';
import type { Standing } from './diagnose.ts';

/** For people: what a standing means, what may be done in it without risk, and what must not be. */
export type Advice = { readonly meaning: string; readonly safe: readonly string[]; readonly unsafe: readonly string[] };

const RESTART =
  'Restart any broker, agent, database, bus or libvirtd, on either side: what was under way is repeated, or answered from its record.';
const CANCEL = 'Cancel it at the source (carnet migration cancel): the VM goes on there.';
const BACKWARDS = 'Restoring a host’s state folder from a backup: it would forget what the host swore.';

export const ADVICE: Readonly<Record<Standing, Advice>> = {
  'at-source': {
    meaning: 'The VM is at the source, as it was. Nothing was stopped, and the key opens there only.',
    safe: [CANCEL, RESTART],
    unsafe: [BACKWARDS],
  },
  stopped: {
    meaning: 'The source has stopped the VM, and can let it run again alone. The key has not left it.',
    safe: [CANCEL, RESTART],
    unsafe: [
      'Starting the VM by hand at the source: it would move on from what was sealed. Cancel instead; its host refuses it until then.',
      BACKWARDS,
    ],
  },
  'in-doubt': {
    meaning:
      'The key was released, and the target has neither taken the VM nor given it back. The source cannot know whether it runs there: nobody but the target may start it.',
    safe: [
      'Bring back the target’s broker, agents and database, and the bus between both: it goes on by itself, forward or back.',
      'Ask the target’s operators what `carnet migration doctor` says there: their ledgers may know more than these.',
      'After the deadline, when the target stays lost: break the glass (carnet migration break-glass). It takes two persons of the source and the owner’s signed word that the target is fenced; if the VM runs there nevertheless, it runs twice.',
      RESTART,
    ],
    unsafe: [
      'Starting the VM at the source, by hand, from a copy or from a backup: it could run twice. Its host refuses.',
      'Deleting anything of it at the source: the target may give it back.',
      BACKWARDS,
    ],
  },
  returning: {
    meaning: 'The source may run the VM again, and has not recorded yet that it does.',
    safe: [
      'Bring back the source’s broker and the VM’s host: it resumes by itself, from its saved memory if there is one.',
      RESTART,
    ],
    unsafe: [
      'Starting the VM by hand before `SourceResumed` stands in the ledger: its saved memory would be lost, or serve twice.',
      BACKWARDS,
    ],
  },
  'at-target': {
    meaning: 'The target has taken the VM: only it may run it. The source keeps its copy, which it cannot open, until the end.',
    safe: [
      'Bring back the target’s broker and the VM’s host: start, observation and end are repeated until they succeed.',
      'Wish it back with a new migration from the target to the source, once this one has ended.',
      RESTART,
    ],
    unsafe: [
      'Starting the VM at the source: it could run twice. Its host refuses.',
      'Deleting the source’s copy by hand: it is destroyed at the end, with a signed receipt.',
      BACKWARDS,
    ],
  },
  split: {
    meaning:
      'The source took the VM back without the target’s word, in a higher epoch: that copy counts. The target may have run it, too: once it hears of this it stops its copy, and keeps it until people decide.',
    safe: [
      'Compare what both copies did while both may have run, before anything is destroyed: the target’s copy stays stopped and whole.',
      'When nobody needs it: discard the copy at the target (carnet migration discard-copy).',
      'Bring back the target’s broker, agents and the bus, so that it hears of it.',
      RESTART,
    ],
    unsafe: [
      'Starting the VM at the target, by hand or from a backup: its epoch is over. Its host refuses once it has heard.',
      'Deleting the target’s files by hand: what ran there only is in them.',
      BACKWARDS,
    ],
  },
  stayed: { meaning: 'It is over: the VM is where it was.', safe: ['Ask for a new migration.'], unsafe: [BACKWARDS] },
  moved: {
    meaning: 'It is over: the VM lives at the target, and the source has destroyed what it had.',
    safe: ['Ask for a new migration, at the CSP that holds the VM now.'],
    unsafe: [BACKWARDS],
  },
};

/** What a side does that owes this, after “must”. */
export const TASKS: Readonly<Record<CommandType, string>> = {
  AgreeOffer: 'agree to the offer, after its preflight',
  DepositKeys: 'deposit the keys, sealed',
  QuiesceVm: 'stop the VM',
  SealImage: 'seal the image',
  ReleaseKeys: 'release the keys',
  ResumeVm: 'let the VM run again',
  RetireSource: 'destroy its keys and volumes once the agreed window is over',
  Withdraw: 'withdraw',
  AnswerIntent: 'answer the intent',
  AcknowledgeDeposit: 'acknowledge the deposit',
  ReadyTarget: 'promise to be ready',
  ReceiveImage: 'receive and verify the image',
  ImportKeys: 'import the keys, or give the VM back',
  ReplaceKeys: 'encrypt the volumes with keys of its own',
  AuthorizeStart: 'take the VM, or give it back',
  StartVm: 'start the VM',
  ObserveHealth: 'see that the VM lives',
  ReencryptVolumes: 'encrypt the volumes of the running VM again',
  RekeyVolumes: 'record that no re-keying was agreed',
  Finalize: 'finalize',
  Relinquish: 'give the VM back',
  FenceCopy: 'stop its copy of the VM, and keep it',
};
