/** What `carnet migration doctor` and `carnet check migration` find: not refusals, but what stands in a migration's way. */
export const FINDING_CODES = {
  IN_DOUBT: {
    text: 'The key was released, and the target has neither taken the VM nor given it back.',
    advice:
      'Bring back the target’s broker, agents, database and bus; ask its operators. Start the VM nowhere by hand: it could run twice.',
  },
  SPLIT_SUSPECTED: {
    text: 'The source took the VM back without the target’s word: both may have run it.',
    advice:
      'Bring the target back, so that it stops its copy. Compare both; then discard the target’s: carnet migration discard-copy.',
  },
  BOTH_RAN: {
    text: 'Both sides ran the VM: the source took it back, and the target had started it.',
    advice:
      'The copy of the higher epoch, at the source, is the VM. The target’s is stopped and kept: look through what it wrote, tell the VM’s owner, then give it up: carnet migration discard-copy.',
  },
  OVERDUE: {
    text: 'A side should have given up by itself, and its word has not come.',
    advice: 'See that this side’s broker and database run, and that events reach the bus.',
  },
  PEER_SILENT: {
    text: 'Nothing valid has come from the peer for some time.',
    advice: 'Check the bus between both CSPs, and ask the peer’s operators.',
  },
  PEER_FROZEN: {
    text: 'What the peer signed contradicts itself, or our own ledger: nothing new is begun with it.',
    advice:
      '`carnet peer proof PEER --out FILE` takes the proof out, and `carnet audit proof FILE` names the contradiction. Talk to the peer’s operators.',
  },
  QUARANTINED: {
    text: 'The database is behind what this CSP had published: it was restored, or lost power.',
    advice: 'It heals when the peer answers with what it holds: bring the bus back, and wait.',
  },
  EVENTS_LOST: {
    text: 'This CSP has told the peer events that are nowhere any more: it appends nothing, so as not to contradict them.',
    advice:
      'Bring back a newer backup of the database, or the `heads` folder of each replica, and restart: `carnet error LEDGER_EVENTS_LOST`.',
  },
  EVENTS_NOT_ACKNOWLEDGED: {
    text: 'The peer has not signed that it holds our last events.',
    advice: 'They are published again and again. If it lasts, check the bus and the peer’s broker.',
  },
  EVENTS_MISSING: {
    text: 'The peer has signed for events that have not come here.',
    advice: 'They are asked for again. If it lasts, check the bus.',
  },
  HOST_SILENT: {
    text: 'A host’s agent is not heard.',
    advice: 'Start its agent; `carnet host list` shows when each was heard.',
  },
  GLASS_UNPERMITTED: {
    text: 'No policy of this CSP permits anybody to break the glass.',
    advice:
      'Should it come to that: have an administrator add a permit for the action break-glass to the policy set, raise its version, and restart the broker.',
  },
  LAST_ATTEMPT_FAILED: {
    text: 'The last attempt at what is owed here failed.',
    advice: 'It is tried again by itself; the code in the text says more (carnet error CODE).',
  },
} as const;
export type FindingCode = keyof typeof FINDING_CODES;
