import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot, scratch } from '@carnet/dev';

/** A program of the broker, as a replica runs it. */
export type Release = {
  /** Of its source tree. */
  readonly root: string;
  /** TOML that only this release understands, at the end of its configuration. */
  readonly config?: string;
};

export const presentRelease: Release = { root: repositoryRoot };

/** A place that occurs once in a file of ours, and what a later release has written after it; or the end of its list of schema changes. */
type Edit = { readonly file: string; readonly after: string | typeof LAST_CHANGE; readonly text: string };
const LAST_CHANGE = Symbol('last change');

/** How the next release names itself in the column that it adds. */
export const NEXT = 'next';

/**
 * What a next release may do under the rules of `@carnet/store`: it adds a column with a default and writes it, a table that it
 * fills in the transaction of an event, a JSON column, an index, a column of another lib's table, and a section of the configuration.
 */
const NEXT_RELEASE: readonly Edit[] = [
  {
    file: 'libs/journal/src/tables.ts',
    after: LAST_CHANGE,
    text: `  {
    name: 'journal-900-next',
    up: async (db: Db) => {
      await sql.raw("alter table events add column written_by text not null default 'before'").execute(db);
      await sql.raw("alter table ledgers add column notes jsonb not null default '{}'").execute(db);
      await sql.raw('create table placed (digest text primary key references events (digest), at timestamptz not null default now())').execute(db);
      await sql.raw('create index events_written_by on events (written_by, seq)').execute(db);
    },
  },
`,
  },
  {
    file: 'libs/journal/src/stored-event.ts',
    after: `    void_code: placed.voidCode ?? null,\n`,
    text: `    written_by: '${NEXT}',\n`,
  },
  {
    file: 'libs/journal/src/writer.ts',
    after: 'if (state !== first) await advanceLedger(tx, state);\n',
    text: `      if (placed.length > 0) await tx.insertInto('placed').values(placed.map(({ digest }) => ({ digest }))).execute();\n`,
  },
  {
    file: 'libs/views/src/migration-table.ts',
    after: LAST_CHANGE,
    text: `  {
    name: 'views-900-next',
    up: async (db) => {
      await sql\`alter table views_migrations add column colour text not null default 'none'\`.execute(db);
    },
  },
`,
  },
  {
    file: 'apps/broker/src/config.ts',
    after: 'const settings = z.strictObject({\n',
    text: '  next: z.strictObject({ colour: z.string() }).optional(),\n',
  },
];

/**
 * A next release that exists: this source tree in a folder of its own, with those edits. It imports nothing of the present one, and
 * shares other people's packages with it.
 */
export function nextRelease(): Release {
  const root = scratch('next');
  for (const folder of SOURCES) cpSync(join(repositoryRoot, folder), join(root, folder), { recursive: true });
  linkPackages(root);
  for (const { file, after, text } of NEXT_RELEASE) edit(join(root, file), after, text);
  return { root, config: '\n[next]\ncolour = "green"\n' };
}

/** The release of an earlier commit, where the clone has its history. */
export function earlierRelease(commit: string): Release {
  const root = scratch('earlier');
  const archive = execFileSync('git', ['archive', commit, ...SOURCES], { cwd: repositoryRoot, maxBuffer: ARCHIVE_BYTES_MAX });
  execFileSync('tar', ['-x', '-C', root], { input: archive });
  linkPackages(root);
  return { root };
}

const SOURCES = ['libs', 'apps/broker'] as const;
const ARCHIVE_BYTES_MAX = 64 * 1_048_576;

function linkPackages(root: string): void {
  const packages = join(root, 'node_modules');
  mkdirSync(packages);
  for (const name of readdirSync(join(repositoryRoot, 'node_modules')))
    if (name !== '@carnet') symlinkSync(join(repositoryRoot, 'node_modules', name), join(packages, name));
  // These are relative: they lead to that tree's own libs.
  cpSync(join(repositoryRoot, 'node_modules', '@carnet'), join(packages, '@carnet'), { recursive: true, verbatimSymlinks: true });
}

function edit(path: string, after: Edit['after'], text: string): void {
  const source = readFileSync(path, 'utf8');
  const at = typeof after === 'string' ? endOf(source, after) : endOfChanges(source);
  if (at === undefined) throw new Error(`expected once in ${path}: ${String(after)}`);
  writeFileSync(path, `${source.slice(0, at)}${text}${source.slice(at)}`);
}

function endOf(source: string, place: string): number | undefined {
  const at = source.indexOf(place);
  return at < 0 || at !== source.lastIndexOf(place) ? undefined : at + place.length;
}

function endOfChanges(source: string): number | undefined {
  const begin = endOf(source, 'Changes: readonly Change[] = [\n');
  const end = begin === undefined ? -1 : source.indexOf('\n];', begin);
  return end < 0 ? undefined : end + 1;
}
