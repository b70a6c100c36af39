import { existsSync, readFileSync } from 'node:fs';

/** One beat of the test guest, as it stands on its console and in the first sector of its disk. */
export type Tick = {
  /** Kept in the guest's RAM: the same after a migration means that the memory survived. */
  readonly boot: string;
  /** Rises by one about every 130 ms. */
  readonly n: number;
  /** The guest's own clock, seconds since its boot. */
  readonly upSeconds: number;
};

/** The youngest complete tick in a console file; undefined while there is none. The end of a file may be half a line. */
export function lastTick(consoleFile: string): Tick | undefined {
  return ticks(textOf(consoleFile)).at(-1);
}

/** What the guest found on its disk when it last booted: a tick of the boot before, or none on an empty disk. */
export const tickFoundOnDisk = (consoleFile: string): Tick | undefined => ticksFoundOnDisk(consoleFile).at(-1);

/** The same of each boot. */
export const ticksFoundOnDisk = (consoleFile: string): readonly (Tick | undefined)[] =>
  [...textOf(consoleFile).matchAll(/^PREV-DISK \[(.*)\]\r?$/gm)].map(([, found]) => ticks(`${found}\n`).at(-1));

/** How often each start of the guest's vTPM was its state's; empty for a guest without one. One state counts up, a new one begins anew. */
export const vtpmResets = (consoleFile: string): readonly number[] =>
  [...textOf(consoleFile).matchAll(/^VTPM resets=(\d+)\r?$/gm)].map(([, count]) => Number(count));

function ticks(text: string): readonly Tick[] {
  return [...text.matchAll(/TICK boot=(\S+) n=(\d+) up=([\d.]+)\s/g)].map(([, boot = '', n, up]) => ({
    boot,
    n: Number(n),
    upSeconds: Number(up),
  }));
}

function textOf(file: string): string {
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}
