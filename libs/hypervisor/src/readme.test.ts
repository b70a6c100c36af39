import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { hostName, trustDomain } from '@carnet/events';
import { expect, it } from 'vitest';
import { hostCommand } from './command/command.ts';
import { fakeHost } from './fake/host.ts';
import {
  BECAUSE as because,
  quickClock as clock,
  UNTIL as deadline,
  MIGRATION as migrationId,
  SECRETS as secrets,
  SPEC as spec,
  VM as vm,
} from './testing/drive.ts';

const domain = trustDomain.parse('csp-a.example');
const host = hostName.parse('a1');
const id = (n: number): string => `00000000-0000-4000-8000-00000000000${n}`;

it('the example of the README runs', async () => {
  // example
  const { agent } = fakeHost({ domain, host, clock });
  const life = { host, vm, deadline };
  await agent.handle(hostCommand.parse({ ...life, id: id(1), step: 'createVm', body: { spec, secrets } }));
  await agent.handle(hostCommand.parse({ ...life, id: id(2), step: 'startVm', body: { secrets } }));

  const migration = { ...life, migration: migrationId, epoch: 1, attempt: 1, because };
  const quiesce = { ...migration, step: 'quiesce', body: { mode: 'cold', graceSeconds: 5 } };
  const stopped = await agent.handle(hostCommand.parse({ ...quiesce, id: id(3) }));
  const start = await agent.handle(hostCommand.parse({ ...life, id: id(4), step: 'startVm', body: { secrets } }));
  // stopped: done, with evidence `stopped`; start: refused, VM_HELD
  // end
  expect(stopped).toMatchObject({ status: 'done', result: { was: 'running' } });
  expect(stopped.status === 'done' && stopped.evidence?.payloadType).toContain('evidence');
  expect(start).toMatchObject({ status: 'refused', code: 'VM_HELD' });
});

it('and is the README’s', () => {
  const own = readFileSync(import.meta.filename, 'utf8')
    .split('// example\n')[1]
    ?.split('  // end')[0]
    ?.replaceAll(/^ {2}/gm, '')
    .trimEnd();
  const page = readFileSync(join(import.meta.dirname, '../README.md'), 'utf8');
  expect(page).toContain(own);
});
