import { GENESIS } from '@carnet/events';
import { decideBreakGlass, decideMove, questionsAbout } from '@carnet/policy';
import { expect, it } from 'vitest';
import { A, B, ENTITIES, intentOf, MONDAY, sending, setOf, user } from '../../../../libs/policy/src/testing.ts';
import { breakGlassData } from '../../../../libs/saga/src/testing.ts';
import { DIGEST, entry, MIGRATION } from '../testing/samples.ts';
import { decisionsIn } from './past-decisions.ts';

const PEOPLE = ['anna', 'ben'].map((name) => `spiffe://${A}/operator/${name}`);
const entities = [...ENTITIES, ...PEOPLE.map((name) => user(name, ['operator']))];
const RULES = '@id("all") permit (principal, action, resource);';
const SET = setOf(RULES, { entities });
const KEPT = setOf(
  `${RULES} @id("kept") @reason("GLASS_KEPT") @says("No.") @advice("Wait.")
forbid (principal == User::"${PEOPLE[1]}", action == Action::"break-glass", resource);`,
  { entities },
);

const eventOf = (type: string, data: object, n: number): object => ({
  id: `01936ad4-0000-7000-8000-00000000000${n}`,
  v: 1,
  publisher: A,
  audience: B,
  seq: String(n),
  prev: DIGEST,
  causes: [],
  time: '2026-11-23T12:00:00.000Z',
  type,
  migration: MIGRATION,
  epoch: 1,
  data,
});

it('each person who broke a glass was decided on: a changed set says whom it would turn', () => {
  const intent = intentOf();
  const { epoch: _, ...said } = intent;
  const glass = { ...intent, released: MONDAY };
  const policy = questionsAbout(glass, PEOPLE, MONDAY).map((asked) => decideBreakGlass(SET, asked, glass));
  const events = [
    eventOf('MigrationIntended', { ...said, policy: decideMove(SET, sending(intent), intent), offerBy: MONDAY }, 1),
    eventOf('BreakGlassResumed', { ...breakGlassData(GENESIS, 2), policy }, 2),
    // Of a version that did not ask.
    eventOf('BreakGlassResumed', breakGlassData(GENESIS, 2), 3),
  ];
  const past = decisionsIn(events.map((event, i) => entry(i + 1, { event })) as never);
  expect(
    past.map(({ by, side, decided, again }) => [by, side, decided.allowed, again(SET).allowed, again(KEPT).allowed]),
  ).toEqual([
    [A, 'source', true, true, true],
    [A, 'source', true, true, true],
    [A, 'source', true, true, false],
  ]);
});
