/** Every bound of the journal, with its reason. */

/** Appends decided in one transaction: shares one commit (one fsync) among callers that wait for the same head lock. */
export const APPEND_GROUP_MAX = 32;
/** Appends waiting for one ledger's head lock in this process; more means that the database stands still. */
export const APPEND_QUEUE_MAX = 4_096;
/** Events that one append may draft: a step of a migration drafts one or two. */
export const DRAFTS_MAX = 16;
/** Events admitted in one transaction: long enough to share a commit, short enough not to hold the head lock for a second. */
export const RECEIVE_BATCH_MAX = 256;
/** Events that came before their predecessors, kept in memory for one ledger. 64 KiB each at most: 32 MiB. The rest is asked for again. */
export const EARLY_EVENTS_MAX = 512;
/** Events read from the outbox for one round of publishing. */
export const PUBLISH_BATCH_MAX = 256;
/** Events that a publisher which dies may have told without a mark of it: the batch that it confirms and the next. Whoever takes over tells them again. */
export const UNMARKED_MAX = 2 * PUBLISH_BATCH_MAX;
/** Own events kept outside of the database for one peer, in bytes. A peer that has acknowledged none of so much (50,000 events) is told no more. */
export const KEPT_BYTES_MAX = 268_435_456;
/** Of them, those that the peer holds, in bytes: it may be restored as well. The file is written anew once for so much. */
export const KEPT_COVERED_BYTES_MAX = 16_777_216;
/** Lines of such a file that say how far it is told, or relied on: after so many (1 MiB) it is written anew with the last one. */
export const KEPT_MARKS_MAX = 10_000;
/** Messages of our own stream on the bus that are looked through for lost events, newest first: about 10 s. */
export const OWN_STREAM_MESSAGES_MAX = 10_000;
/** Of them, asked for at once. */
export const OWN_STREAM_AT_ONCE = 64;
/** Envelopes re-sent for one question. The asker goes on asking from its new head. */
export const RESEND_MAX = 256;
/** Two event keys are good for this long while they are changed, in ms: every replica has read its key file again by then. */
export const KEY_OVERLAP_MS = 600_000;
/** Shortest time between two re-sendings to one peer for questions of one kind, in ms: a question of 200 bytes must not buy 16 MiB of answers at will. */
export const RESEND_PAUSE_MS = 200;
/** Rows of a query that an operator's tool asks for without a limit. */
export const QUERY_ROWS_MAX = 1_000;
/** Envelopes that are remembered together with what they say, in bytes; with it about three times as much. Events of 200 migrations under way. */
export const READ_BYTES_MAX = 16_777_216;
/** VMs of one answer about where journeys end: 40,000 events are read for it, about 0.1 s of the database. */
export const JOURNEY_VMS_MAX = 2_000;
/** Envelopes kept as proof against one peer: the first few convict, the rest is a flood. */
export const PROOFS_MAX = 64;
/** Events read for one notice to subscribers. */
export const NOTICE_EVENTS_MAX = 500;
/** Look for what other replicas placed, in ms, when no notice came: a lost notice costs this much. */
export const POLL_MS = 1_000;
/** Look for what may be told, in ms, when nobody rang: only a head file that is no longer full rings for nobody. */
export const OUTBOX_POLL_MS = 5_000;
/** Heads are sent this often, in ms (protocol, section 3). */
export const HEAD_EVERY_MS = 30_000;
/** After activity a head follows within this time, in ms: the peer's acknowledgement within a second, many events under one head. */
export const HEAD_AFTER_ACTIVITY_MS = 150;
/** Events by which one checkpoint of ours goes beyond the one before: read and hashed in about 0.1 s. A long past takes several. */
export const CHECKPOINT_EVENTS_MAX = 10_000;
/** Events read at once while a tree grows. */
export const CHECKPOINT_READ_MAX = 500;
/** A checkpoint follows a head after this time, in ms: the peer's own head, which acknowledges, is then here. Not more often than that. */
export const CHECKPOINT_AFTER_HEAD_MS = 2_000;
/** A peer's head beyond ours may be in flight: ask for what is missing only after this time, in ms. */
export const ASK_GRACE_MS = 400;
/** While quarantined, peers are challenged this often, in ms. */
export const CHALLENGE_EVERY_MS = 1_000;
/** A challenge's random bytes: an old answer cannot be replayed. */
export const NONCE_BYTES = 16;
/** A peer's message may be dated this far from our clock, in ms. */
export const MESSAGE_SKEW_MS_MAX = 300_000;
/** First and longest pause after a failure of bus or database, in ms; each pause is drawn between half and whole. */
export const BACKOFF_MS_FIRST = 50;
export const BACKOFF_MS_MAX = 5_000;
/** One answer of the bus, in ms. */
export const BUS_ANSWER_MS_MAX = 3_000;
/** Messages that a pull consumer holds ready for us. */
export const PULL_MESSAGES_MAX = 512;
/** An append at the start of a process waits so long for the bus to say what it holds of our ledgers, in ms. */
export const COMPARE_WAIT_MS = 10_000;
/** Time to drain at a stop, in ms. */
export const DRAIN_MS_MAX = 3_000;
/** A lease on publishing is tried this often by the replica that does not hold it, in ms. */
export const LEASE_EVERY_MS = 500;
/** Peer messages waiting to be judged: beyond it the oldest are dropped, and heads come again. */
export const MESSAGES_WAITING_MAX = 2_048;
/** Peer messages waiting to be judged, in bytes: two answers of `RESEND_MAX` long envelopes. */
export const MESSAGES_WAITING_BYTES_MAX = 33_554_432;
/** Attempts to move a VM that a peer opened here and that are not answered: no more of its ledger is placed from there on, until half are. */
export const UNANSWERED_MAX = 512;
export const UNANSWERED_AGAIN = 256;
/** Bytes of one peer's events placed at once, and per second for ever: a hundred times what its moves take (0.1 MiB each), and a past of 10,000 events at once. */
export const INTAKE_BYTES_BURST = 67_108_864;
export const INTAKE_BYTES_PER_SECOND = 4_194_304;
/** Bytes judged in one turn of a peer: 16 of the longest events. */
export const INTAKE_TURN_BYTES = 1_048_576;
/** Another peer was heard this lately, in ms: then a peer rests as long as its turn took, at most so long. */
export const OTHERS_LATELY_MS = 10_000;
export const REST_MS_MAX = 500;
/** Where a peer is held, whether it still is is asked this often, in ms. */
export const HELD_LOOK_MS = 100;
/** What a peer may say beside its ledger, in units: an envelope is one, any other message (a look into the database each) `TALK_MESSAGE_UNITS`. Honest ones send 20 messages a second at most. */
export const TALK_BURST = 8_192;
export const TALK_PER_SECOND = 1_024;
export const TALK_MESSAGE_UNITS = 16;
/** The same in bytes. */
export const TALK_BYTES_BURST = 67_108_864;
export const TALK_BYTES_PER_SECOND = 8_388_608;
/** That a peer is held is said this often in the log, in ms. */
export const HELD_SAID_EVERY_MS = 60_000;
/** Bytes of one ledger's stream on the bus: 200,000 events of 5 KiB. The oldest go first; the truth is in the databases. */
export const STREAM_BYTES_MAX = 1_073_741_824;
/** Bytes of one message on the bus: an event and its headers. */
export const STREAM_MESSAGE_BYTES_MAX = 69_632;
/** The bus recognises a repeated publish for this long, in ms; later ones are recognised by their digests. */
export const STREAM_DUPLICATE_MS = 120_000;
/** A follower that died loses what it had pulled for this long, in ms. A repeat costs a look-up, so it may be short. */
export const CONSUMER_ACK_MS = 3_000;
/**
 * A follower asks again for what comes after this long, in ms, and hears from the server twice as often. When the server that led the consumer dies
 * while the connection is to another, nothing else tells it; and the client waits as long between two tries to find the consumer. Its default is 30 s.
 */
export const CONSUMER_PULL_MS = 2_000;
/** An event before whose key announcement came is tried again so often, ASK_GRACE_MS apart: the announcement is on its way or asked for. */
export const UNANNOUNCED_TRIES_MAX = 30;
/** One message on the bus, in bytes: an event, or a host's command with sealed keys. */
export const BUS_MESSAGE_BYTES_MAX = 262_144;
/** Replicas of one CSP's broker, for which the bus has connections. */
export const BROKER_REPLICAS_MAX = 8;
/** Subscriptions of one connection to the bus: a broker has a few for each peer and host, and one for each question that is open. */
export const SUBSCRIPTIONS_MAX = 8_192;
