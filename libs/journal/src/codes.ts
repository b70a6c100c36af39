/** Refusals of the journal itself; those of admission are `TRUST_CODES`. For `carnet error CODE`. */
export const JOURNAL_CODES = {
  LEDGER_QUARANTINED: {
    text: 'This database is behind what it once published: it was restored or lost power.',
    advice: 'Wait: every peer is asked what it holds of us, and the missing events come back. If a peer is down, bring it up.',
  },
  LEDGER_UNCOMPARED: {
    text: 'This machine was started anew, and its ledgers are not compared yet with what the bus holds of them.',
    advice:
      'Wait: it is done as soon as the bus answers. Before, a machine that a snapshot has set back would put other events in the place of those it told. If it lasts, see whether the broker reaches the bus: its log says of which peer the link was interrupted, and why.',
  },
  LEDGER_EVENTS_LOST: {
    text: 'This CSP has told a peer events that are nowhere any more: not in its database, its head files, at the peer or on the bus.',
    advice:
      'Nothing is appended: what was told may still arrive, and another event in its place would convict this CSP of a fork. Bring back a newer backup of the database, or the `heads` folder of each replica, and restart; or let the peer bring back its own. `carnet peer show` names the peer. Only if the peer has lost them as well, and its operator says so: stop all replicas, put the peer’s file in `heads` aside, and restart.',
  },
  LEDGER_FROZEN: {
    text: 'A fork or an unknown cause was found between this peer and us: nothing new is begun with it.',
    advice:
      'Take the proof out with `carnet peer proof PEER --out FILE` (`carnet audit proof FILE` says what it proves), call the peer, and find out which side was restored or lies.',
  },
  PEER_UNKNOWN: {
    text: 'No peer of that trust domain is configured.',
    advice: 'Add it to the configuration of this broker, after both sides exchanged their roots.',
  },
  APPEND_OVERLOADED: {
    text: 'Too many events wait for the head of this ledger.',
    advice: 'The database is too slow or stands still: look at it, then try again.',
  },
  PEER_RATE_LIMITED: {
    text: 'This peer says more than is taken in from one: the rest waits on the bus, and others go on.',
    advice:
      'Nothing, if it moves many VMs: it goes on by itself. If it lasts, call the peer: all that it said is signed. One that does not stop is cut off at the bus by the revocation of its certificate.',
  },
  PEER_REVOKED: {
    text: 'The certificate under which this peer introduced its event key is revoked: nothing of it is taken and nothing begun with it.',
    advice:
      'Call the peer. It comes back by introducing a new event key under a new certificate (`carnet cert rotate-event-key`).',
  },
  KEY_ROTATED: {
    text: 'An event key was ended because every replica signs with the next one.',
    advice: 'Nothing to do.',
  },
  KEY_COMPROMISED: {
    text: 'An event key was ended because others may hold it.',
    advice: 'What it signed after the position that the event names is doubtful: `carnet audit verify` lists it; call the peer.',
  },
  KEY_IN_USE: {
    text: 'The event key that is to be ended is the one that signs now.',
    advice: 'Change it first (`carnet cert rotate-event-key`), then end the old one.',
  },
  PEER_UNANNOUNCED: {
    text: 'A message came from a peer whose event key has not been announced to us yet.',
    advice: 'Nothing to do: its ledger is asked for. If it lasts, check that the peer can publish on the bus.',
  },
  MESSAGE_MISADDRESSED: {
    text: 'A message between peers names another sender or receiver than its channel.',
    advice: 'Somebody replays messages: inspect who can publish on the bus.',
  },
  MESSAGE_STALE: {
    text: 'A message between peers is dated too far from our clock.',
    advice: 'Compare both clocks; if they agree, somebody replays old messages.',
  },
  MESSAGE_MALFORMED: {
    text: 'A signed message between peers is none that this version knows.',
    advice: 'Compare versions with the peer.',
  },
  CHALLENGE_UNKNOWN: {
    text: 'The answer belongs to no challenge that is open.',
    advice: 'Nothing to do: late answers are ignored. If they repeat, somebody replays them.',
  },
} as const satisfies Readonly<Record<string, { readonly text: string; readonly advice: string }>>;
export type JournalCode = keyof typeof JOURNAL_CODES;
export type AppendCode = Extract<
  JournalCode,
  | 'LEDGER_QUARANTINED'
  | 'LEDGER_UNCOMPARED'
  | 'LEDGER_EVENTS_LOST'
  | 'LEDGER_FROZEN'
  | 'PEER_UNKNOWN'
  | 'PEER_REVOKED'
  | 'APPEND_OVERLOADED'
>;
export type MessageCode = Extract<JournalCode, `MESSAGE_${string}` | 'CHALLENGE_UNKNOWN' | 'PEER_UNANNOUNCED' | 'PEER_REVOKED'>;
