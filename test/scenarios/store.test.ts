import { describe } from 'vitest';
import { journalContract } from '../../libs/journal/src/testing/contract-suite.ts';
import { journeysContract } from '../../libs/journal/src/testing/journeys-suite.ts';
import { keptContract } from '../../libs/journal/src/testing/kept-suite.ts';
import { setBackContract } from '../../libs/journal/src/testing/set-back-suite.ts';
import { strangersContract } from '../../libs/journal/src/testing/strangers-suite.ts';
import { openDatabase } from './sim/database.ts';
import { createFaults } from './sim/faults.ts';
import { seeded } from './sim/random.ts';
import { createScheduler } from './sim/scheduler.ts';
import { newSessions, openSimStore } from './sim/store.ts';

/** The simulator's store, in real time and without faults. */
const open = async () => {
  const random = seeded(1);
  const scheduler = createScheduler(random, 1);
  const faults = createFaults(random, { storm: 0, without: new Set() }, () => undefined);
  const database = openDatabase();
  const immediate = {
    ...scheduler,
    point: <T>(_: unknown, __: number, ___: unknown, work: () => Promise<T>) => work(),
    at: (_: number, run: () => void) => setImmediate(run),
  };
  const store = openSimStore({
    scheduler: immediate as unknown as typeof scheduler,
    faults,
    database,
    sessions: newSessions(),
    life: scheduler.life('a test'),
    crash: () => undefined,
  });
  return { ...store, close: async () => database.close() };
};

describe('a journal over the database of the simulator', () => {
  journalContract(open);
  journeysContract(open);
});

describe('what was told, over the database of the simulator', () => {
  keptContract(open);
  setBackContract(open);
  strangersContract(open);
});
