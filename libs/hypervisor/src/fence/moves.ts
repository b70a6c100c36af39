import { type Digest, type Timestamp, unreachable, type VmId } from '@carnet/events';
import { refused, type Setback } from '../codes.ts';
import { done, type Outcome, setBack } from '../outcome.ts';
import type { FenceEntry } from './entry.ts';

/** Every way a fence entry can change. */
export type FenceMove =
  /** The VM is created here. */
  | { readonly kind: 'enroll' }
  /** Source: stopped for a migration. First of all its effects: from here on older epochs are refused. */
  | { readonly kind: 'hold'; readonly epoch: number }
  /** Source: given away, before the key is released. */
  | { readonly kind: 'surrender'; readonly epoch: number }
  /** Source: it is its again. What was stopped stays held until it is let go; what never was just goes on. */
  | { readonly kind: 'reopen'; readonly epoch: number; readonly proof: 'withdrawn' | 'relinquished' }
  /** Source: it is its again without the peer's word, in an epoch above the one that it gave away. */
  | { readonly kind: 'breakGlass'; readonly epoch: number; readonly surrendered: number }
  /** Target: arrived, authorised, not let go yet. */
  | { readonly kind: 'admit'; readonly epoch: number }
  /** Target, or a source that resumes: its vCPUs run from the next instruction on. */
  | { readonly kind: 'letGo'; readonly epoch: number }
  /** Target: the source took the VM back in a higher epoch; this copy may have run, and never runs again. */
  | { readonly kind: 'standDown'; readonly epoch: number }
  /** Target: this epoch never runs here. */
  | { readonly kind: 'forswear'; readonly epoch: number };

type Place = Pick<FenceEntry, 'epoch' | 'standing' | 'vcpus' | 'role'>;

const no = (code: Parameters<typeof refused>[0], detail?: string): Outcome<never> => setBack(refused(code, detail));

function enroll(from: Place | undefined): Outcome<Place> {
  if (from === undefined) return done({ epoch: 0, standing: 'mine', vcpus: 'may-run', role: 'home' });
  return from.epoch === 0 && from.role === 'home' ? done(from) : no('VM_PRESENT');
}

function hold(from: Place | undefined, epoch: number): Outcome<Place> {
  if (from === undefined) return no('VM_NOT_HERE');
  if (from.standing === 'surrendered') return no('VM_SURRENDERED');
  if (from.standing === 'never') return no('VM_FORSWORN');
  if (from?.epoch !== epoch) return done({ epoch, standing: 'mine', vcpus: 'held', role: 'source' });
  // The epoch in which the VM came, or was resumed, is spent: a second stop needs a new one.
  return from.role === 'source' && from.vcpus === 'held' ? done(from) : no('EPOCH_FENCED');
}

function surrender(from: Place | undefined, epoch: number): Outcome<Place> {
  if (from === undefined) return no('VM_NOT_HERE');
  if (from?.epoch !== epoch || from.role !== 'source') return no('VM_RUNNING', 'It was not stopped in this epoch.');
  if (from.standing === 'surrendered') return done(from);
  return from.standing === 'mine' && from.vcpus === 'held' ? done({ ...from, standing: 'surrendered' }) : no('VM_RUNNING');
}

function reopen(from: Place | undefined, epoch: number, proof: 'withdrawn' | 'relinquished'): Outcome<Place> {
  if (from === undefined) return no('VM_NOT_HERE');
  if (from?.epoch !== epoch) {
    // Withdrawn before anything was stopped: the VM just goes on, and the epoch is spent.
    if (from.standing === 'mine' && from.vcpus === 'may-run') return done({ ...from, epoch, role: 'source' });
    return no(from.standing === 'surrendered' ? 'VM_SURRENDERED' : 'VM_FORSWORN');
  }
  if (from.role !== 'source') return no('VM_NOT_HERE', 'This host is not the source of this epoch.');
  if (from.standing === 'surrendered' && proof !== 'relinquished') return no('PROOF_MISSING');
  if (from.standing === 'never') return no('VM_FORSWORN');
  return done(from.standing === 'mine' ? from : { ...from, standing: 'mine', vcpus: 'held' });
}

/** Only out of exactly the surrender that it names; a host that holds the VM in any other way has nothing to break. */
function breakGlass(from: Place | undefined, epoch: number, surrendered: number): Outcome<Place> {
  if (from === undefined) return no('VM_NOT_HERE');
  if (from.role !== 'source') return no('VM_NOT_HERE', 'This host is not the source.');
  if (from.epoch === epoch && from.standing === 'mine') return done(from);
  if (from.epoch !== surrendered || epoch <= surrendered || from.standing !== 'surrendered') return no('NOT_SURRENDERED');
  return done({ epoch, standing: 'mine', vcpus: 'held', role: 'source' });
}

/** Of the epoch that came, or was about to, whatever ran of it. What left again in a newer one is no copy any more. */
function standDown(from: Place | undefined, epoch: number): Outcome<Place> {
  if (from?.epoch !== epoch)
    return from?.standing === 'mine' ? no('VM_PRESENT') : done({ epoch, standing: 'surrendered', vcpus: 'held', role: 'target' });
  if (from.role !== 'target') return no('VM_PRESENT', 'This host is the source of this epoch.');
  return done(from.standing === 'mine' ? { ...from, standing: 'surrendered', vcpus: 'held' } : from);
}

function admit(from: Place | undefined, epoch: number): Outcome<Place> {
  if (from?.epoch !== epoch) {
    if (from?.standing === 'mine') return no('VM_PRESENT');
    return done({ epoch, standing: 'mine', vcpus: 'held', role: 'target' });
  }
  if (from.standing === 'never') return no('VM_FORSWORN');
  return from.role === 'target' && from.standing === 'mine' ? done(from) : no('VM_SURRENDERED');
}

function letGo(from: Place | undefined, epoch: number): Outcome<Place> {
  if (from?.epoch !== epoch || from.role === 'home') return no('VM_NOT_HERE');
  if (from.standing === 'surrendered') return no('VM_SURRENDERED');
  return from.standing === 'mine' ? done({ ...from, vcpus: 'may-run' }) : no('VM_FORSWORN');
}

function forswear(from: Place | undefined, epoch: number): Outcome<Place> {
  const never: Place = { epoch, standing: 'never', vcpus: 'held', role: 'target' };
  if (from?.epoch !== epoch) return from?.standing === 'mine' ? no('VM_PRESENT') : done(never);
  if (from.standing === 'never') return done(from);
  if (from.role !== 'target') return no('VM_PRESENT', 'This host is the source of this epoch.');
  // One that stood down may have run before.
  return from.vcpus === 'held' && from.standing === 'mine' ? done(never) : no('VM_MAY_HAVE_RUN');
}

function place(from: Place | undefined, move: FenceMove): Outcome<Place> {
  switch (move.kind) {
    case 'enroll':
      return enroll(from);
    case 'hold':
      return hold(from, move.epoch);
    case 'surrender':
      return surrender(from, move.epoch);
    case 'reopen':
      return reopen(from, move.epoch, move.proof);
    case 'breakGlass':
      return breakGlass(from, move.epoch, move.surrendered);
    case 'standDown':
      return standDown(from, move.epoch);
    case 'admit':
      return admit(from, move.epoch);
    case 'letGo':
      return letGo(from, move.epoch);
    case 'forswear':
      return forswear(from, move.epoch);
    default:
      return unreachable(move);
  }
}

export type MoveContext = { readonly vm: VmId; readonly because: Digest | null; readonly time: Timestamp };

/**
 * Where a move leads, or why it may not be made. Pure; epochs never fall; a move onto its own result changes nothing, so a
 * repeated command is harmless.
 */
export function moveFence(from: FenceEntry | undefined, move: FenceMove, context: MoveContext): Outcome<FenceEntry> {
  if (from !== undefined && move.kind !== 'enroll' && move.epoch < from.epoch) return no('EPOCH_FENCED');
  const to = place(from, move);
  if (!to.ok) return to;
  return done(to.value === from && from !== undefined ? from : { ...pick(to.value), ...context });
}

const pick = ({ epoch, standing, vcpus, role }: Place): Place => ({ epoch, standing, vcpus, role });

/** Whether this host may run the VM now; what the start of a VM and libvirt's hook ask. */
export function forbidsRunning(entry: Place): Setback | undefined {
  if (entry.standing === 'surrendered') return refused('VM_SURRENDERED');
  if (entry.standing === 'never') return refused('VM_FORSWORN');
  return entry.vcpus === 'held' ? refused('VM_HELD') : undefined;
}
