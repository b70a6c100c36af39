import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HOST_CODES } from '../codes.ts';
import { BECAUSE, draft, ofEpoch, SECRET, SPEC } from '../testing/drive.ts';
import { hostCommand, isMigrationCommand, isVmCommand } from './command.ts';
import { hostReport } from './report.ts';
import { commandBytes } from './wire.ts';

describe('commands', () => {
  it('come back from their bytes as they were', () => {
    const command = draft('a1', 'quiesce', { mode: 'cold', graceSeconds: 5 }, ofEpoch(3));
    expect(hostCommand.parse(JSON.parse(Buffer.from(commandBytes(command)).toString('utf8')))).toEqual(command);
    expect([isMigrationCommand(command), isVmCommand(command)]).toEqual([true, true]);
  });

  it.each<[string, string, unknown, object]>([
    ['an unknown step', 'explode', {}, {}],
    ['an unknown field', 'surrender', { also: 1 }, ofEpoch(1)],
    ['a migration step without epoch', 'surrender', {}, {}],
    ['epoch 0', 'surrender', {}, { ...ofEpoch(1), epoch: 0 }],
    ['a file name with a path in it', 'registerImage', { name: 'x', file: '../../etc/passwd', secret: SECRET }, {}],
    ['XML in place of a spec', 'createVm', { spec: '<domain/>', secrets: [] }, {}],
    ['a secret that is no base64', 'startVm', { secrets: [{ ...SECRET, sealed: '<>' }] }, {}],
    ['a proof of another kind', 'resume', { proof: { kind: 'timer', event: BECAUSE }, secrets: [] }, ofEpoch(1)],
  ])('refuse %s', (_, step, body, more) => {
    const base = {
      id: '00000000-0000-4000-8000-000000000001',
      host: 'a1',
      deadline: '2030-01-01T00:00:00.000Z',
      vm: 'csp-a.example/33333333-3333-4333-8333-333333333333',
    };
    const { vm: _vm, ...ofNoVm } = base;
    expect(hostCommand.safeParse({ ...base, step, body, ...more }).success).toBe(false);
    expect(hostCommand.safeParse({ ...ofNoVm, step, body, ...more }).success).toBe(false);
  });

  it('refuse any JSON that was not made as one', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => !hostCommand.safeParse(value).success && !hostReport.safeParse(value).success),
    );
  });

  it('every code has a sentence and what to do next', () => {
    for (const { text, advice } of Object.values(HOST_CODES))
      expect([text.endsWith('.'), advice.endsWith('.')]).toEqual([true, true]);
    expect(SPEC.disks).toHaveLength(1);
  });
});
