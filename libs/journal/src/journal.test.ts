import { openStore } from '@carnet/store';
import { describe } from 'vitest';
import { journalContract } from './testing/contract-suite.ts';
import { temporaryDir } from './testing/world.ts';

const log = { info: () => undefined, warn: () => undefined };

describe('a journal over the embedded database', () => {
  journalContract(() => openStore({ dir: temporaryDir(), log, applicationName: 'test' }));
});
