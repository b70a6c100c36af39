import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from 'vitest';

/** Says on stderr what is loaded. */
const HOOK = `import { registerHooks } from 'node:module';
registerHooks({ load(url, context, next) { process.stderr.write(url + '\\n'); return next(url, context); } });`;

// Counted, not timed: a busy machine must not decide.
it('help waits for neither schemas nor certificates', () => {
  const args = ['--import', `data:text/javascript,${encodeURIComponent(HOOK)}`, join(import.meta.dirname, 'main.ts'), '--help'];
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  expect(status).toBe(0);
  expect(stderr).toContain('verbs/migration.ts');
  expect(stderr).not.toMatch(/node_modules\/(zod|pkijs|smol-toml|yaml)\/|libs\//);
});
