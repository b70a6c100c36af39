import { describe } from 'vitest';
import { journalContract } from './testing/contract-suite.ts';
import { journeysContract } from './testing/journeys-suite.ts';
import { keptContract } from './testing/kept-suite.ts';
import { setBackContract } from './testing/set-back-suite.ts';
import { strangersContract } from './testing/strangers-suite.ts';
import { openTestStore } from './testing/world.ts';

describe('a journal over the embedded database', () => {
  journalContract(openTestStore);
  journeysContract(openTestStore);
});

describe('what was told, over the embedded database', () => {
  keptContract(openTestStore);
  setBackContract(openTestStore);
  strangersContract(openTestStore);
});
