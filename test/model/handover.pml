/*
 * Hand-over of a VM and custody of its key between two CSPs, for Spin. README.md beside this file says what is in it, what is not, and how
 * the rules are broken on purpose (-D<MUTANT>).
 *
 * A step that is atomic here is atomic there: a database transaction of a broker, or one fsynced write of a host's fence register. Between
 * any two of them everything else may happen, a crash of whoever took the first included: it continues from what is durable, which is
 * all that these variables hold.
 */
#ifndef EPOCHS
#define EPOCHS 2
#endif

#define other(s) (1 - (s))

/* Events, as bits of what a side has said in an epoch. */
#define INTENDED     1
#define QUIESCED     2
#define SEALED       4
#define RELEASED     8
#define WITHDRAWN   16
#define RESUMED     32
#define RETIRED     64
#define READY      128
#define VERIFIED   256
#define IMPORTED   512
#define AUTHORIZED 1024
#define STARTED    2048
#define FINALIZED  4096
#define RELINQUISHED 8192
#define LATE       16384  /* withdrawn when the target's promise was known: the VM may be stopped, and must be resumed */

/* Commands to hosts, as bits of what was ever issued in an epoch: each may be carried out at any later time, any number of times. */
#define HOLD       1
#define SURRENDER  2
#define REOPEN_W   4  /* cites the own withdrawal */
#define REOPEN_R   8  /* cites the target's relinquishment */
#define LET_GO    16
#define FORSWEAR  32

mtype:standing = { absent, mine, surrendered, forsworn };
mtype:key = { none, deposited, usable, suspended, destroyed };

typedef Host {
  byte epoch;               /* highest ever seen */
  mtype:standing standing;
  bit held;                 /* vCPUs must not run */
  bit target;               /* role in that epoch */
  bit back;                 /* its resume has begun: what else comes of this epoch was sent before */
  bit runs
};
typedef Epochs { short at[EPOCHS + 1] };

Host host[2];
mtype:key key[2];
mtype:key keyBefore[2];  /* the last event of its side */
Epochs said[2];    /* own ledger */
Epochs heard[2];   /* what arrived of the peer's */
Epochs issued[2];
Epochs proved[2];  /* results that hosts recorded, by command: evidence stays usable when it is old */

/* A ledger is a chain: what arrives of it is a prefix. */
#define LENGTH_MAX (8 * EPOCHS)
typedef Chain { short event[LENGTH_MAX]; byte epoch[LENGTH_MAX]; byte length; byte arrived };
Chain chain[2];

#ifdef RESTORES
/* One database was set back by one event, of which copies may still travel. */
bit restored; bit forked;
byte ghostOf = 2; byte ghostAt; short ghost; byte ghostEpoch;
#define isForked forked
#define isRestored restored
#else
#define isForked false
#define isRestored false
#endif

#define own(s, e, x)   ((said[s].at[e] & (x)) != 0)
#define peers(s, e, x) ((heard[s].at[e] & (x)) != 0)
#define proof(s, e, x) ((proved[s].at[e] & (x)) != 0)
#define source(s, e)   own(s, e, INTENDED)
#define sourceEnded(says) (((says) & (RETIRED | RESUMED)) || (((says) & WITHDRAWN) && !((says) & LATE)))
#define targetEnded(says) ((says) & (FINALIZED | RELINQUISHED))

inline append(s, e, x) {
  said[s].at[e] = said[s].at[e] | (x);
  chain[s].event[chain[s].length] = (x);
  chain[s].epoch[chain[s].length] = e;
  chain[s].length++;
  keyBefore[s] = key[s]
}
inline order(s, e, x) { issued[s].at[e] = issued[s].at[e] | (x) }
inline testify(s, e, x) { proved[s].at[e] = proved[s].at[e] | (x) }

/* I1 whatever happens; I4, and no VM without its key, unless a database was set back. */
inline safe() {
  assert(!(host[0].runs && host[1].runs));
  assert(isRestored || !(key[0] == usable && key[1] == usable));
  assert(isRestored || ((!host[0].runs || key[0] == usable) && (!host[1].runs || key[1] == usable)))
}

/* Over for a side, as far as it knows: both have ended, or nothing of this epoch was ever said. */
#define over(s, e) \
  ((own(s, e, INTENDED) && sourceEnded(said[s].at[e]) && (targetEnded(heard[s].at[e]) || !peers(s, e, READY) && own(s, e, WITHDRAWN))) || \
   (peers(s, e, INTENDED) && sourceEnded(heard[s].at[e]) && (targetEnded(said[s].at[e]) || !own(s, e, READY))))
/* Epoch e may open: all before it are over, none of it or after it was said. */
#define fresh(s, e) (!own(s, e, INTENDED) && !peers(s, e, INTENDED) && (e == 1 || over(s, e - 1)))

#define mayRelease(s, e) (own(s, e, SEALED) && peers(s, e, VERIFIED) && !own(s, e, RELEASED | WITHDRAWN) && !peers(s, e, RELINQUISHED))

proctype Source(byte s; byte e) {
  end: do
  :: atomic { fresh(s, e) && host[s].standing == mine && !host[s].held && key[s] == usable -> append(s, e, INTENDED) }
  /* Nothing is stopped before the target's promise. */
  :: atomic { source(s, e) && peers(s, e, READY) && !own(s, e, QUIESCED | WITHDRAWN) && !(issued[s].at[e] & HOLD) -> order(s, e, HOLD) }
  :: atomic { source(s, e) && proof(s, e, HOLD) && peers(s, e, READY) && !own(s, e, QUIESCED | WITHDRAWN) -> append(s, e, QUIESCED) }
  :: atomic { own(s, e, QUIESCED) && !own(s, e, SEALED | WITHDRAWN) -> append(s, e, SEALED) }
#ifdef RELEASE_BEFORE_SURRENDER
  :: atomic { mayRelease(s, e) ->
       append(s, e, RELEASED); key[s] = suspended; order(s, e, SURRENDER) }
#else
  :: atomic { mayRelease(s, e) && !(issued[s].at[e] & SURRENDER) ->
       order(s, e, SURRENDER) }
  :: atomic { mayRelease(s, e) && proof(s, e, SURRENDER) ->
       append(s, e, RELEASED);
#ifndef KEY_STAYS_ACTIVE
       key[s] = suspended
#endif
     }
#endif
  /* A deadline, an operator, a refusal: whatever the reason, at any time before the release. */
  :: atomic { source(s, e) && !own(s, e, RELEASED | WITHDRAWN) ->
       if
       :: peers(s, e, READY) -> append(s, e, WITHDRAWN | LATE)
       :: else -> append(s, e, WITHDRAWN)
       fi }
  :: atomic { own(s, e, LATE) && !own(s, e, RESUMED) && !(issued[s].at[e] & REOPEN_W) -> order(s, e, REOPEN_W) }
  :: atomic { own(s, e, LATE | RELEASED) && !own(s, e, RESUMED) && peers(s, e, RELINQUISHED) && !(issued[s].at[e] & REOPEN_R) ->
       key[s] = usable; order(s, e, REOPEN_R); safe() }
#ifdef ROLLBACK_ON_A_TIMER
  :: atomic { own(s, e, RELEASED) && !peers(s, e, RELINQUISHED | AUTHORIZED) && !(issued[s].at[e] & REOPEN_R) ->
       key[s] = usable; order(s, e, REOPEN_R) }
#endif
  :: atomic { own(s, e, LATE | RELEASED) && proof(s, e, REOPEN_W | REOPEN_R) && !own(s, e, RESUMED) -> append(s, e, RESUMED) }
#ifdef RETIRED_ON_IMPORT
  :: atomic { own(s, e, RELEASED) && peers(s, e, IMPORTED) && !own(s, e, RETIRED) ->
#else
  :: atomic { own(s, e, RELEASED) && peers(s, e, FINALIZED) && !own(s, e, RETIRED) ->
#endif
       append(s, e, RETIRED); key[s] = destroyed }
  od
}

proctype Target(byte s; byte e) {
  end: do
  /* The intent is answered once all before it is over here, too. The deposit comes with it: possession, and nothing to open. */
  :: atomic { peers(s, e, INTENDED) && !peers(s, e, WITHDRAWN) && !own(s, e, READY) && (e == 1 || over(s, e - 1)) ->
       append(s, e, READY); key[s] = deposited }
  :: atomic { own(s, e, READY) && peers(s, e, SEALED) && !own(s, e, VERIFIED | RELINQUISHED) -> append(s, e, VERIFIED) }
#ifdef RELEASE_OF_ANOTHER_EPOCH
  :: atomic { own(s, e, VERIFIED) && (peers(s, e, RELEASED) || peers(s, 1, RELEASED)) && !own(s, e, IMPORTED | RELINQUISHED) ->
#else
  :: atomic { own(s, e, VERIFIED) && peers(s, e, RELEASED) && !own(s, e, IMPORTED | RELINQUISHED) ->
#endif
       append(s, e, IMPORTED); key[s] = usable; safe() }
#ifdef START_BEFORE_ITS_EVENT
  :: atomic { own(s, e, IMPORTED) && !own(s, e, RELINQUISHED) && !host[s].runs -> host[s].runs = 1; safe() }
#endif
  :: atomic { own(s, e, IMPORTED) && !own(s, e, AUTHORIZED | RELINQUISHED) -> append(s, e, AUTHORIZED) }
  :: atomic { own(s, e, AUTHORIZED) && !own(s, e, RELINQUISHED) && !(issued[s].at[e] & LET_GO) -> order(s, e, LET_GO) }
  :: atomic { own(s, e, AUTHORIZED) && proof(s, e, LET_GO) && !own(s, e, STARTED | RELINQUISHED) -> append(s, e, STARTED) }
  :: atomic { own(s, e, STARTED) && !own(s, e, FINALIZED) -> append(s, e, FINALIZED) }
  /* Whatever the reason, at any time before the own point of no return; and when the source has withdrawn. */
  :: atomic { own(s, e, READY) && !own(s, e, AUTHORIZED | RELINQUISHED) && (!own(s, e, VERIFIED) || peers(s, e, WITHDRAWN)) ->
       append(s, e, RELINQUISHED); key[s] = destroyed }
  :: atomic { own(s, e, VERIFIED) && !own(s, e, AUTHORIZED | RELINQUISHED) && !(issued[s].at[e] & FORSWEAR) -> order(s, e, FORSWEAR) }
#ifdef RELINQUISHED_BEFORE_THE_HOST_KNOWS
  :: atomic { own(s, e, VERIFIED) && !own(s, e, STARTED | RELINQUISHED) -> append(s, e, RELINQUISHED); key[s] = destroyed }
#endif
  :: atomic { own(s, e, VERIFIED) && !own(s, e, STARTED | RELINQUISHED) && proof(s, e, FORSWEAR) ->
       append(s, e, RELINQUISHED); key[s] = destroyed }
  od
}

/*
 * The fence register decides, then the effect follows, as another step. An epoch below the register's is refused, always.
 */
#ifdef STALE_COMMANDS_WORK
#define current(s, e) true
#else
#define current(s, e) (e >= host[s].epoch)
#endif

inline fence(s, e, to, keep, role) {
  host[s].epoch = e; host[s].standing = to; host[s].held = keep; host[s].target = role; host[s].back = 0
}

#ifdef OVERTAKEN_RESUME
#define isBack(s) false
#else
#define isBack(s) host[s].back
#endif

#ifdef OWN_WITHDRAWAL_REOPENS_WHAT_WAS_SURRENDERED
#define mayReopen(s) (host[s].standing == mine || host[s].standing == surrendered)
#else
#define mayReopen(s) (host[s].standing == mine)
#endif

proctype Agent(byte s; byte e) {
  end: do
  :: atomic { (issued[s].at[e] & HOLD) && e > host[s].epoch && host[s].standing == mine -> fence(s, e, mine, 1, 0) }
  :: atomic { (issued[s].at[e] & HOLD) && host[s].epoch == e && host[s].held && !host[s].target && !isBack(s) && !proof(s, e, HOLD) ->
       host[s].runs = 0; testify(s, e, HOLD) }
  :: atomic { (issued[s].at[e] & SURRENDER) && host[s].epoch == e && host[s].standing == mine && host[s].held && !host[s].target && !isBack(s) &&
              proof(s, e, HOLD) ->
       host[s].standing = surrendered; testify(s, e, SURRENDER) }
  /* Reopening what was never stopped only spends the epoch. What was surrendered takes the target's word. What was stopped is let go last. */
  :: atomic { (issued[s].at[e] & REOPEN_W) && current(s, e) && mayReopen(s) && host[s].epoch != e -> fence(s, e, mine, 0, 0) }
  :: atomic { (issued[s].at[e] & REOPEN_W) && mayReopen(s) && host[s].epoch == e && !host[s].target && host[s].held && !host[s].back ->
       fence(s, e, mine, 1, 0); host[s].back = 1 }
  :: atomic { (issued[s].at[e] & REOPEN_R) && current(s, e) && host[s].standing == mine && host[s].epoch != e -> fence(s, e, mine, 0, 0) }
  :: atomic { (issued[s].at[e] & REOPEN_R) && (host[s].standing == mine || host[s].standing == surrendered) && host[s].epoch == e &&
              !host[s].target && host[s].held && !host[s].back ->
       fence(s, e, mine, 1, 0); host[s].back = 1 }
  :: atomic { (issued[s].at[e] & (REOPEN_W | REOPEN_R)) && host[s].epoch == e && host[s].standing == mine && host[s].held && host[s].back ->
       host[s].held = 0 }
  :: atomic { (issued[s].at[e] & (REOPEN_W | REOPEN_R)) && current(s, e) && host[s].standing == mine && !host[s].held && !host[s].target &&
              host[s].epoch == e && !proof(s, e, REOPEN_W) ->
       host[s].runs = 1; testify(s, e, REOPEN_W); safe() }
  :: atomic { (issued[s].at[e] & LET_GO) && current(s, e) && host[s].standing != mine && (host[s].epoch != e) ->
       fence(s, e, mine, 1, 1) }
  :: atomic { (issued[s].at[e] & LET_GO) && host[s].epoch == e && host[s].standing == mine && host[s].target && host[s].held ->
       host[s].held = 0 }
  :: atomic { (issued[s].at[e] & LET_GO) && host[s].epoch == e && host[s].standing == mine && host[s].target && !host[s].held && !proof(s, e, LET_GO) ->
       host[s].runs = 1; testify(s, e, LET_GO); safe() }
  :: atomic { (issued[s].at[e] & FORSWEAR) && current(s, e) && !proof(s, e, FORSWEAR) &&
              (host[s].epoch != e && host[s].standing != mine || host[s].epoch == e && host[s].target && host[s].held) ->
       fence(s, e, forsworn, 1, 1); testify(s, e, FORSWEAR) }
  od
}

/* Loses, repeats, delays, reorders; the chain makes a prefix of it. It can delay for ever only what nobody sends again. */
proctype Bus(byte s) {
  byte k;
  end: do
  :: atomic { chain[s].arrived < chain[s].length && !isForked -> k = chain[s].arrived;
       heard[other(s)].at[chain[s].epoch[k]] = heard[other(s)].at[chain[s].epoch[k]] | chain[s].event[k];
       chain[s].arrived++; k = 0 }
#ifdef RESTORES
  /* The copy of what the restored database no longer knows comes first. What it says in that place later is a fork, and freezes. */
  :: atomic { !forked && ghostOf == s && chain[s].arrived == ghostAt ->
       heard[other(s)].at[ghostEpoch] = heard[other(s)].at[ghostEpoch] | ghost; forked = 1 }
#endif
  od
}

#ifdef RESTORES
/* A backup from before its last event, at either side, and the head file with it: the worst that an operator can do. */
proctype Restore(byte s) {
  byte k; short x; byte e;
  end: do
  :: atomic { !restored && chain[s].length > 0 && chain[s].arrived < chain[s].length ->
       restored = 1; k = chain[s].length - 1; x = chain[s].event[k]; e = chain[s].epoch[k];
       ghostOf = s; ghostAt = k; ghost = x; ghostEpoch = e;
       said[s].at[e] = said[s].at[e] & ~x; chain[s].length--; chain[s].event[k] = 0; chain[s].epoch[k] = 0;
       key[s] = keyBefore[s];
       k = 0; x = 0; e = 0 }
  od
}
#endif

/* Alone, without asking anybody: also who gave the key away and has the word that gives it back. */
#define able(s) ((key[s] == usable && host[s].standing == mine) || \
                 ((host[s].standing == mine || host[s].standing == surrendered) && peers(s, host[s].epoch, RELINQUISHED)))
/* Asked and not answered: the one interval in which nobody alone may run it. It begins when the host surrenders. */
#define inDoubt(e) (((proof(0, e, SURRENDER) || own(0, e, RELEASED)) && !(heard[0].at[e] & (RELINQUISHED | FINALIZED))) || \
                    ((proof(1, e, SURRENDER) || own(1, e, RELEASED)) && !(heard[1].at[e] & (RELINQUISHED | FINALIZED))))

#if EPOCHS > 1
#define inAnyDoubt (isRestored || inDoubt(1) || inDoubt(2))
#else
#define inAnyDoubt (isRestored || inDoubt(1))
#endif

/* I2 at every moment; and when nothing can happen any more, the VM runs on exactly one side, and nothing is open. */
proctype Watch() {
#ifdef RESTORES
  end: do
#else
  do
#endif
  :: atomic { !able(0) && !able(1) && !inAnyDoubt -> assert(false) }
#ifndef RESTORES
  :: timeout -> assert(host[0].runs != host[1].runs);
     assert(over(0, EPOCHS) && over(1, EPOCHS) || over(0, EPOCHS) && !peers(1, EPOCHS, INTENDED)); break
#endif
  od
}

init {
  atomic {
    host[0].standing = mine; host[0].runs = 1; host[1].standing = absent;
    key[0] = usable; key[1] = none;
    run Source(0, 1); run Target(1, 1);
    byte e;
    for (e : 1 .. EPOCHS) { run Agent(0, e); run Agent(1, e) }
#if EPOCHS > 1
    for (e : 2 .. EPOCHS) { run Source(0, e); run Source(1, e); run Target(0, e); run Target(1, e) }
#endif
    e = 0;
    run Bus(0); run Bus(1);
#ifdef RESTORES
    run Restore(0); run Restore(1);
#endif
    run Watch()
  }
}
