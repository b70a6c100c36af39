import { defineConfig } from 'vitest/config';

// `unit` needs nothing but Node; `real` starts real daemons (libvirtd, PostgreSQL, nats-server, QEMU)
// through @carnet/dev and therefore runs its files one after the other.
// `faults` (npm run faults) kills every process at every step: minutes of its own, so not part of `npm test`.
const FAULT_TABLES = 'test/faults/**/*-table.test.ts';

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: [
            'libs/*/src/**/*.test.ts',
            'apps/*/src/**/*.test.ts',
            'apps/*/ui/src/**/*.test.ts',
            'infra/*/src/**/*.test.ts',
            'infra/*/setup/**/*.test.mjs',
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
            'test/{attacks,faults,e2e,browser}/**/*.test.ts',
          ],
          exclude: [FAULT_TABLES, '**/node_modules/**'],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 180_000,
          // Emulated guests beside other work miss a time limit now and then; what fails twice has failed.
          retry: 1,
        },
      },
      {
        test: {
          name: 'faults',
          include: [FAULT_TABLES],
          fileParallelism: false,
          testTimeout: 900_000,
          hookTimeout: 900_000,
        },
      },
    ],
  },
});
