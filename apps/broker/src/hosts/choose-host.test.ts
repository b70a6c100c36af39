import { hostName } from '@carnet/events';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Candidate, chooseHost } from './choose-host.ts';

const candidate = (host: string, over: Partial<Candidate> = {}): Candidate => ({
  host: hostName.parse(host),
  isUp: true,
  level: 1,
  memoryMiBFree: 1_024,
  ...over,
});
const wanted = { level: 1, memoryMiB: 512 };

describe('choosing a host', () => {
  it('takes the least loaded of those that are up and of the level, and says of each other why not', () => {
    const all = [
      candidate('busy', { memoryMiBFree: 600 }),
      candidate('down', { isUp: false, memoryMiBFree: 9_000 }),
      candidate('free', { memoryMiBFree: 2_048 }),
      candidate('full', { memoryMiBFree: 100 }),
      candidate('low', { level: 0, memoryMiBFree: 9_000 }),
    ];
    expect(chooseHost(all, wanted)).toEqual({
      host: 'free',
      memoryMiBFree: 2_048,
      passedOver: [
        { host: 'busy', because: 'more loaded' },
        { host: 'down', because: 'down' },
        { host: 'full', because: 'no room' },
        { host: 'low', because: 'level too low' },
      ],
    });
  });

  it('asks the one with the most room where none has enough, and nobody where none is admissible', () => {
    const full = [candidate('a', { memoryMiBFree: 10 }), candidate('b', { memoryMiBFree: 20 })];
    expect(chooseHost(full, wanted)).toMatchObject({ host: 'b', passedOver: [{ host: 'a', because: 'no room' }] });
    expect(chooseHost([candidate('a', { isUp: false })], wanted).host).toBeUndefined();
  });

  it('never takes a host that is down or below the level, whatever the others are', () => {
    const some = fc.record({ isUp: fc.boolean(), level: fc.integer({ min: 0, max: 3 }), memoryMiBFree: fc.nat(4_096) });
    fc.assert(
      fc.property(fc.array(some, { maxLength: 8 }), fc.integer({ min: 0, max: 3 }), (hosts, level) => {
        const all = hosts.map((one, i) => candidate(`h${i}`, one));
        const { host, passedOver } = chooseHost(all, { level, memoryMiB: 512 });
        const taken = all.find((one) => one.host === host);
        expect(taken === undefined || (taken.isUp && taken.level >= level)).toBe(true);
        expect(passedOver.length).toBe(all.length - (taken === undefined ? 0 : 1));
      }),
    );
  });
});
