import { readFileSync } from 'node:fs';
import { event } from '@carnet/events';
import { openPolicySet, type PolicySet } from '@carnet/policy';
import { policyCrypto, readPolicyFiles } from '@carnet/publisher';
import { EXIT, VerbError } from '../exit.ts';
import type { Entry } from '../rows.ts';
import { type VerdictRow, verdictColumns } from '../rows-policy.ts';
import { answered, type World } from '../world.ts';
import { decisionsIn, onIntent, type Past } from './past-decisions.ts';

export interface TestOptions {
  readonly migration?: string;
  readonly intent?: string;
  readonly all?: boolean;
}

/** Decides anew, on the facts that were quoted then. */
function again(set: PolicySet, past: Past): VerdictRow {
  const would = past.again(set);
  return {
    ...verdictOf(past),
    would: word(would.allowed),
    changes: would.allowed !== past.decided.allowed,
    policies: would.determining,
    reasons: would.reasons,
  };
}

const word = (allowed: boolean): 'allow' | 'deny' => (allowed ? 'allow' : 'deny');
const verdictOf = ({ migration, side, decided }: Past): VerdictRow => ({
  migration,
  side,
  decided: word(decided.allowed),
  policies: decided.determining,
  reasons: decided.reasons,
});

/** `--all` lists what would change and is content if nothing does; a single question ends with the exit code of its answer. */
export async function testPolicy(directory: string, options: TestOptions, world: World): Promise<void> {
  const set = openSet(directory);
  if ([options.all, options.intent, options.migration].filter((one) => one !== undefined).length !== 1)
    throw new VerbError(EXIT.usage, 'ARGUMENT_INVALID', 'expected one of --migration, --intent, --all');
  const past = await pastOf(options, world, set);
  const rows = past.map((one) => again(set, one));
  if (options.all === true) {
    const changing = rows.filter(({ changes }) => changes === true);
    world.streams.err(`${changing.length} of ${rows.length} decisions would change\n`);
    return world.list(changing, verdictColumns);
  }
  await world.list(rows, verdictColumns);
  if (rows.some(({ would }) => would === 'deny'))
    throw new VerbError(EXIT.refused, 'POLICY_DENIES', 'this policy set denies the move; the reasons stand above');
}

function openSet(directory: string): PolicySet {
  const opened = openPolicySet(
    read(() => readPolicyFiles(directory)),
    policyCrypto,
  );
  if (!opened.ok) throw new VerbError(EXIT.usage, opened.code, opened.text, `carnet error ${opened.code} says more.`);
  return opened.value;
}

function read<T>(work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw new VerbError(EXIT.usage, 'ARGUMENT_INVALID', cause instanceof Error ? cause.message : String(cause));
  }
}

async function pastOf({ intent, migration }: TestOptions, world: World, set: PolicySet): Promise<readonly Past[]> {
  if (intent !== undefined) return [fromFile(intent, set)];
  if (migration !== undefined) return ownDecisions(world, await entriesOf(world, `migration=${encodeURIComponent(migration)}`));
  return ownDecisions(world, await allEntries(world));
}

/** An intent that may never have been decided on by us: its own quoted decision gives the facts. */
function fromFile(file: string, { ruledBy }: PolicySet): Past {
  const said: unknown = read(() => JSON.parse(readFileSync(file, 'utf8')));
  const inner = typeof said === 'object' && said !== null && 'event' in said ? said.event : said;
  const parsed = event.safeParse(inner);
  if (parsed.data?.type !== 'MigrationIntended')
    throw new VerbError(
      EXIT.usage,
      'ARGUMENT_INVALID',
      `${file}: expected a MigrationIntended event, or what \`carnet event get\` says of one`,
    );
  return onIntent(parsed.data, { ...parsed.data.data.policy, ...ruledBy });
}

async function entriesOf(world: World, query: string): Promise<readonly Entry[]> {
  const broker = await world.broker();
  return answered(await broker.get<{ readonly items: readonly Entry[] }>(`/v1/events?${query}`)).items;
}

const PAGE = 1_000;
async function allEntries(world: World): Promise<readonly Entry[]> {
  const all: Entry[] = [];
  for (let after = ''; ; ) {
    const page = await entriesOf(
      world,
      new URLSearchParams({ limit: String(PAGE), ...(after === '' ? {} : { after }) }).toString(),
    );
    all.push(...page);
    const last = page.at(-1)?.cursor;
    if (page.length < PAGE || last === undefined) return all;
    after = last;
  }
}

/** A CSP tests its own rules on its own decisions: those of a peer were made by the peer's. */
async function ownDecisions(world: World, entries: readonly Entry[]): Promise<readonly Past[]> {
  const self = await selfOf(world);
  const past = decisionsIn(entries).filter(({ by }) => by === self);
  if (past.length === 0) throw new VerbError(EXIT.refused, 'EVENT_UNKNOWN', 'this CSP has quoted no decision there');
  return past;
}

async function selfOf(world: World): Promise<string> {
  const broker = await world.broker();
  return answered(await broker.get<{ readonly csp: string }>('/v1/policy')).csp;
}

/** Both sides' decisions, in their own words: each reason names its policy. */
export async function explain(migration: string, world: World): Promise<void> {
  const past = decisionsIn(await entriesOf(world, `migration=${encodeURIComponent(migration)}`));
  if (past.length === 0)
    throw new VerbError(EXIT.refused, 'MIGRATION_UNKNOWN', `no decision on ${migration} stands in a ledger here`);
  await world.list(past.map(verdictOf), verdictColumns);
}
