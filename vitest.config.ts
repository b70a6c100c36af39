import { defineConfig } from 'vitest/config';
import { RETRY } from './test/runner/time-limits.ts';

// `unit` needs nothing but Node. The others start real daemons through @carnet/dev and therefore run their files one after the other:
// `clouds` whole clouds on simulated hosts, most of them attacked and killed, `real` everything else. `npm test` runs these two, which take
// about as long, side by side.

const onDaemons = {
  fileParallelism: false,
  testTimeout: 120_000,
  hookTimeout: 180_000,
  // Emulated guests beside other work miss a time limit now and then: then, and only then, a second try counts. It is named at the end of the phase.
  retry: RETRY,
  // What is polled for has no second try.
  expect: { poll: { timeout: 10_000 } },
};
const CLOUDS = [
  'test/attacks/**/*.test.ts',
  'test/survey/**/*.test.ts',
  'test/faults/{bad-days,break-glass,cluster,invitation,key-backends,keys,kill-table,ledger-import,openstack,own-servers,rekey-kills,renewal,restored-backup,split}.test.ts',
];
/** Played by `npm test -- --only PATH` alone: `npm test` has half an hour. */
const LONG = ['test/bench/**/*.test.ts', 'test/attacks/{flood,slow-peer}.test.ts', 'test/faults/rolling-upgrade.test.ts'];

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          // Files share a process and what it has loaded: half of what they cost was to load and compile the same modules again. So a test puts
          // back what it changes of the process (clock, environment).
          isolate: false,
          // vitest leaves one processor to itself; of two that is half.
          maxWorkers: '100%',
          // Not a measure of speed: a machine that is busy with something else takes three times as long.
          testTimeout: 30_000,
          hookTimeout: 60_000,
          include: [
            'libs/*/src/**/*.test.ts',
            'apps/*/src/**/*.test.ts',
            'apps/*/ui/src/**/*.test.ts',
            'infra/*/src/**/*.test.ts',
            'infra/*/setup/**/*.test.mjs',
            'test/faults/nightly/**/*.test.ts',
            'test/runner/**/*.test.ts',
            'test/tidy/**/*.test.ts',
            'test/histories/**/*.test.ts',
            'test/scenarios/**/*.test.ts',
            'test/schemas/**/*.test.ts',
          ],
          exclude: ['**/*.real.test.ts', '**/node_modules/**'],
        },
      },
      {
        test: {
          name: 'real',
          include: [
            'libs/*/src/**/*.real.test.ts',
            'apps/*/src/**/*.real.test.ts',
            'infra/*/src/**/*.real.test.ts',
            'test/{faults,e2e,browser,model}/**/*.test.ts',
          ],
          exclude: ['**/node_modules/**', 'test/faults/nightly/**', ...CLOUDS, ...LONG],
          ...onDaemons,
        },
      },
      { test: { name: 'clouds', include: CLOUDS, exclude: ['**/node_modules/**', ...LONG], ...onDaemons } },
      { test: { name: 'long', include: LONG, ...onDaemons } },
    ],
  },
});
