import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Alarm, checkMigrations } from './check-migrations.ts';
import { CHECK } from './check-verdict.ts';
import { openStandIn, type StandIn } from './testing/stand-in.ts';
import { carnet } from './testing/terminal.ts';

const inDoubt = (seconds: number): Alarm => ({ migration: `m${seconds}`, code: 'IN_DOUBT', seconds });
const overdue: Alarm = { migration: 'late', code: 'OVERDUE', seconds: 3 };
const limits = { warning: 60, critical: 600 };

describe('checkMigrations', () => {
  it.each([
    ['nothing', [], CHECK.ok],
    ['a release of this moment', [inDoubt(59)], CHECK.ok],
    ['one that takes long', [inDoubt(60)], CHECK.warning],
    ['one that takes too long', [inDoubt(600)], CHECK.critical],
    ['seconds that are no number', [inDoubt(Number.NaN)], CHECK.critical],
    ['one that should have given up', [overdue], CHECK.warning],
    ['the worst of several', [inDoubt(1), inDoubt(900), overdue], CHECK.critical],
  ] as const)('%s', (_, alarms, exit) => {
    expect(checkMigrations(alarms, limits).exit).toBe(exit);
  });

  it('names the worst, in one line that cannot be forged', () => {
    expect(checkMigrations([overdue, inDoubt(61), inDoubt(700)], limits).line).toBe(
      'MIGRATION CRITICAL - 2 in doubt, 1 overdue; IN_DOUBT m700 for 700 s | in_doubt=2 overdue=1 in_doubt_seconds=700s',
    );
    const { line } = checkMigrations([{ ...overdue, migration: 'a|in_doubt=0\nOK' }], limits);
    expect([line.split('|').length, line.split('\n').length]).toEqual([2, 1]);
  });
});

describe('carnet check migration', () => {
  let broker: StandIn;
  beforeAll(async () => {
    broker = await openStandIn();
  });
  afterAll(() => broker.close());

  it('ends with the code of the verdict, by the limits that were given', async () => {
    broker.script({ 'GET /v1/alarms': { json: { items: [inDoubt(70)] } } });
    expect(await carnet(['check', 'migration'], broker.configHome)).toMatchObject({
      exit: 1,
      out: expect.stringMatching(/^MIGRATION WARNING - 1 in doubt/),
    });
    const lenient = ['check', 'migration', '--warning', '80', '--critical', '90'];
    expect(await carnet(lenient, broker.configHome)).toMatchObject({ exit: 0 });
    expect(await carnet(['check', 'migration', '--critical', '70'], broker.configHome)).toMatchObject({ exit: 2 });
  });

  it('a broker that refuses is UNKNOWN', async () => {
    broker.script({ 'GET /v1/alarms': { status: 403, json: { code: 'ROLE_MISSING', text: 'no' } } });
    expect(await carnet(['check', 'migration'], broker.configHome)).toMatchObject({
      exit: 3,
      out: expect.stringMatching(/^MIGRATION UNKNOWN - ROLE_MISSING/),
    });
  });
});
