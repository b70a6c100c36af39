/**
 * Answers of queries, kept for as long as nobody has changed a table that they name: most of what the brokers ask is whether something is new. One
 * connection, so nobody else can change anything.
 */
export type Answers = {
  /** The answer to the same question before, if it still holds; else `ask`'s. */
  readonly of: <R extends object>(query: Query, given: readonly unknown[], ask: () => readonly R[]) => readonly R[];
  /** A statement has changed rows. */
  readonly changed: (query: Query) => void;
  /** Everything may be different: something was undone or restored, or tables changed. */
  readonly forget: () => void;
  /** Another number once rows of any table may be other ones. */
  readonly lastChange: () => number;
};

/** One statement: which tables it names, and what was answered to it. */
export type Query = { readonly tables: readonly Table[]; readonly kept: Map<string, Kept> };
type Table = { changedAt: number };
type Kept = { readonly at: number; readonly rows: readonly object[] };

/** For one statement. Most are asked about a handful of ledgers. */
const KEPT_MAX = 64;

const keyOf = (given: readonly unknown[]): string | undefined => {
  let key = '';
  for (const value of given) {
    if (value instanceof Uint8Array) return undefined;
    key += `${typeof value} ${String(value)}\n`;
  }
  return key;
};

export function createAnswers(): Answers & { readonly queryOf: (sql: string, names: readonly string[]) => Query } {
  const tables = new Map<string, Table>();
  let now = 0;
  const tableOf = (name: string): Table => {
    const known = tables.get(name) ?? { changedAt: now };
    tables.set(name, known);
    return known;
  };
  return {
    queryOf: (sql, names) => ({
      tables: names.filter((name) => new RegExp(`\\b${name}\\b`).test(sql)).map(tableOf),
      kept: new Map(),
    }),
    of: <R extends object>({ tables: named, kept }: Query, given: readonly unknown[], ask: () => readonly R[]): readonly R[] => {
      const key = named.length === 0 ? undefined : keyOf(given);
      if (key === undefined) return ask();
      const known = kept.get(key);
      if (known !== undefined && named.every(({ changedAt }) => changedAt <= known.at)) return known.rows as readonly R[];
      const rows = ask();
      // Whoever is answered next gets the same rows.
      for (const row of rows) Object.freeze(row);
      if (kept.size >= KEPT_MAX) kept.clear();
      kept.set(key, { at: now, rows });
      return rows;
    },
    changed: ({ tables: named }) => {
      now += 1;
      for (const table of named) table.changedAt = now;
    },
    forget: () => {
      now += 1;
      for (const table of tables.values()) table.changedAt = now;
    },
    lastChange: () => now,
  };
}
