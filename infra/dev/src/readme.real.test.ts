import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { repositoryRoot, runAs, runOnce } from './index.ts';
import { daemonEnv } from './tools.ts';

test('the example of the README runs and says what it says', () => {
  const readme = readFileSync(join(repositoryRoot, 'infra', 'dev', 'README.md'), 'utf8');
  const example = /```ts\n(.*?)```/s.exec(readme)?.[1] ?? '';
  const self = runAs('root');
  const out = runOnce(
    self,
    [process.execPath, '--input-type=module-typescript', '--eval', example],
    daemonEnv,
    join(repositoryRoot, 'infra', 'dev'),
  );
  expect(out).toMatch(/^postgresql:\/\/carnet@\/ledger\?host=\S+ nats:\/\/127\.0\.0\.1:\d+\nleft behind: 0\n$/);
});
