import type { Elsewhere, Side } from './elsewhere.ts';
import type { GlassScene } from './glass.ts';
import type { Way } from './wishes.ts';
import type { Story } from './world.ts';

const COLD: Way = { mode: 'cold', rekey: 'none' };
const SUSPEND: Way = { mode: 'suspend', rekey: 'slot' };
const THERE = [0, 1];
const move = (cancel?: Story['cancel']): Story => ({ route: THERE, cancel, way: COLD, accident: 'crash ' });
const suspend = (cancel?: Story['cancel']): Story => ({ route: THERE, cancel, way: SUSPEND, accident: 'crash ' });
/** There, back, and there again; and by a third CSP. */
const AGAIN = [0, 1, 0, 1];
const ROUND = [0, 1, 2, 0, 1];
/** The target does not hear of the release; or hears, starts the VM and cannot say so, on a host that people take off its power, or only say that they did. */
const UNHEARD: GlassScene = { silence: 'both', isTrue: true };
const UNSAID: GlassScene = { silence: 'out', isTrue: true };
const LIES: GlassScene = { silence: 'out', isTrue: false };
/**
 * A move; one that its operator cancels early, about the release, and (`stopped`, `verified`) when the VM stands still and when the target has its image,
 * so that it is resumed; one that its target refuses, or gives back, since no released key opens its disk, or whose release it does not answer, so that the
 * glass is broken; and the same with saved memory and a new passphrase; and VMs that go on from where they came, and back. Where a process can die, and where a host can lose its power or its libvirtd.
 */
export const CRASHES = {
  move: move(),
  'cancel-50': move(50),
  'cancel-100': move(100),
  'cancel-150': move(150),
  'cancel-stopped': move('SourceQuiesced'),
  'cancel-verified': move('ImageVerified'),
  'given-back': { ...move(), beside: 'wrong-key' },
  refused: { ...move(), beside: 'refusal' },
  glass: { ...move(), beside: UNHEARD },
  'glass-fenced': { ...move(), beside: UNSAID },
  'glass-split': { ...move(), beside: LIES },
  suspend: suspend(),
  'suspend-cancel-100': suspend(100),
  'suspend-cancel-stopped': suspend('SourceQuiesced'),
  'suspend-cancel-verified': suspend('ImageVerified'),
  'suspend-given-back': { ...suspend(), beside: 'wrong-key' },
  'suspend-glass-fenced': { ...suspend(), beside: UNSAID },
  again: { ...move(), route: AGAIN },
  'suspend-again': { ...suspend(), route: AGAIN },
  round: { ...move(), route: ROUND },
  'suspend-round': { ...suspend(), route: ROUND },
  power: { ...move(), accident: 'power ' },
  'power-cancel-100': { ...move(100), accident: 'power ' },
  'power-cancel-verified': { ...move('ImageVerified'), accident: 'power ' },
  'power-suspend': { ...suspend(), accident: 'power ' },
  'power-suspend-cancel-100': { ...suspend(100), accident: 'power ' },
  'power-suspend-cancel-verified': { ...suspend('ImageVerified'), accident: 'power ' },
  'power-suspend-given-back': { ...suspend(), beside: 'wrong-key', accident: 'power ' },
  'power-suspend-glass-split': { ...suspend(), beside: LIES, accident: 'power ' },
  libvirtd: { ...move(), accident: 'libvirtd ' },
  'libvirtd-cancel-verified': { ...move('ImageVerified'), accident: 'libvirtd ' },
  'libvirtd-suspend': { ...suspend(), accident: 'libvirtd ' },
  'libvirtd-suspend-cancel-100': { ...suspend(100), accident: 'libvirtd ' },
  'libvirtd-suspend-given-back': { ...suspend(), beside: 'wrong-key', accident: 'libvirtd ' },
} as const satisfies Readonly<Record<string, Story>>;
export type Crashes = keyof typeof CRASHES;

/** As it was when the VM was born, whatever it has done since. */
const BIRTH = Number.POSITIVE_INFINITY;
/** The newest backup that one may have, and one of long ago: of so many places before. */
const backup = (of: readonly Side[], places = 40): Elsewhere => ({ what: 'database set back', of, places });
/** What befalls a story of processes that die, at each of those places instead. */
export const INSTEADS = {
  'bus-away': { what: 'bus away', ms: 30_000 },
  // Longer than a migration may take.
  'bus-away-long': { what: 'bus away', ms: 150_000 },
  // A quarter of an undisturbed move ago.
  'bus-back': { what: 'bus set back', ms: 60 },
  'bus-new': { what: 'bus set back', ms: Number.POSITIVE_INFINITY },
  'guest-source': { what: 'guest dies', at: 'source' },
  'guest-target': { what: 'guest dies', at: 'target' },
  'backup-source': backup(['source']),
  'backup-target': backup(['target']),
  'backup-both': backup(['source', 'target']),
  'old-backup-source': backup(['source'], 400),
  'old-backup-target': backup(['target'], 400),
  'old-backup-both': backup(['source', 'target'], 400),
  'first-backup-source': backup(['source'], BIRTH),
  'first-backup-target': backup(['target'], BIRTH),
  'first-backup-both': backup(['source', 'target'], BIRTH),
  'first-machine-source': { what: 'machine set back', of: ['source'], places: BIRTH },
  'first-machine-target': { what: 'machine set back', of: ['target'], places: BIRTH },
  'machine-source': { what: 'machine set back', of: ['source'], places: 40 },
  'machine-target': { what: 'machine set back', of: ['target'], places: 40 },
  'folder-source': { what: 'folder set back', of: ['source'], places: 40 },
  'folder-target': { what: 'folder set back', of: ['target'], places: 40 },
  'no-folder': { what: 'folder lost', of: ['source', 'target'], places: 0 },
} as const satisfies Readonly<Record<string, Elsewhere>>;
export type Instead = keyof typeof INSTEADS;
