import { defineConfig } from 'vitest/config';

// `unit` needs nothing but Node; `real` starts real daemons (libvirtd, PostgreSQL, nats-server, QEMU)
// through @carnet/dev and therefore runs its files one after the other.

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
          exclude: ['**/node_modules/**'],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 180_000,
          // Emulated guests beside other work miss a time limit now and then. What fails twice has failed; what needed its second
          // try is named at the end of the phase.
          retry: 1,
        },
      },
    ],
  },
});
