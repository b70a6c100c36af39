import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import {
  type CompiledQuery,
  type DatabaseConnection,
  type DatabaseIntrospector,
  type Dialect,
  type Driver,
  Kysely,
  PostgresQueryCompiler,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
} from 'kysely';
import type { NoTables } from '../../../libs/store/src/store.ts';
import { createAnswers, type Query } from './answers.ts';

/** What a connection waits for before it begins, and after it has committed: where the simulated world may interrupt it. */
export type Gate = (at: 'begin' | 'committed') => Promise<void>;

/** One CSP's database: PostgreSQL's statements, in memory. Transactions are serial, as in the embedded database. */
export type Database = {
  readonly connect: (gate: Gate, onDeath: (undo: () => void) => void) => Kysely<NoTables>;
  readonly snapshot: () => Snapshot;
  readonly restore: (snapshot: Snapshot) => void;
  readonly rows: (sql: string, ...given: SQLInputValue[]) => readonly Record<string, unknown>[];
  /** Another number once rows of any table may be other ones. */
  readonly lastChange: () => number;
  /** A transaction is open: what it has written may yet be undone. */
  readonly isWriting: () => boolean;
  readonly close: () => void;
};
type Row = readonly SQLInputValue[];
export type Snapshot = ReadonlyMap<string, readonly Row[]>;

const ENDS = /\(array_agg\(e\.(seq|digest) order by e\.seq desc\) filter \(where (e\.publisher (?:=|<>) \$\d+)\)\)\[1\]/g;

/** PostgreSQL's words as SQLite says them. What is not listed here both say alike. */
export const translated = (sql: string): string =>
  sql
    .replace(ENDS, (_, what: string, whose: string) =>
      what === 'seq'
        ? `max(case when ${whose} then e.seq end)`
        : `substr(max(case when ${whose} then printf('%012d', e.seq) || e.digest end), 13)`,
    )
    .replace(/ for (?:no key update|update|key share|share)(?: of "?\w+"?)?(?: skip locked)?/g, '')
    .replace(/\bleast\(/g, 'min(')
    .replace(/\bgreatest\(/g, 'max(')
    .replace(/('[^']*')::bytea/g, 'cast($1 as blob)')
    .replace(/to_regclass\((\$\d+)\)/g, "(select name from sqlite_master where type = 'table' and name = $1)")
    .replace(/default now\(\)/g, 'default 0')
    // A bare parameter here would have SQLite plan the statement anew each time.
    .replace(/ limit (\$\d+)/g, ' limit ($1 + 0)')
    .replace(/\$(\d+)/g, '?$1');

const given = (value: unknown): SQLInputValue => {
  if (value === undefined || value === null) return null;
  if (typeof value === 'boolean') return value ? 1 : 0;
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array || typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint')
    return value;
  return JSON.stringify(value);
};

/** Expressions that are true or false. */
const LOGICAL: ReadonlySet<string> = new Set(['quarantined', 'found']);
type Read = (value: unknown) => unknown;
const asBytes: Read = (value) =>
  value instanceof Uint8Array ? Buffer.from(value.buffer, value.byteOffset, value.byteLength) : value;
/** By what a column was declared as; an expression by its name. */
function reading(declared: string | undefined, name: string): Read {
  if (declared === 'jsonb') return (value) => (typeof value === 'string' ? JSON.parse(value) : value);
  if (declared === 'boolean' || (declared === undefined && LOGICAL.has(name))) return (value) => value !== 0;
  if (declared === 'timestamptz') return (value) => new Date(String(value));
  return asBytes;
}

type Doing = 'read' | 'undo' | 'define' | 'write';
const doing = (sql: string): Doing => {
  const [, first = ''] = /^\s*(\w+)/.exec(sql.toLowerCase()) ?? [];
  if (first === 'rollback') return 'undo';
  if (['create', 'drop', 'alter'].includes(first)) return 'define';
  return first === 'select' || (first === 'with' && !/\b(?:insert|update|delete)\b/i.test(sql)) ? 'read' : 'write';
};

type Prepared = {
  readonly statement: StatementSync;
  readonly columns: readonly { readonly name: string; readonly read: Read }[];
  readonly query: Query;
  readonly does: Doing;
};

/** Turns are taken here: Kysely's own would be held for ever by a turn that failed. */
class ManyConnections extends SqliteAdapter {
  override get supportsMultipleConnections(): boolean {
    return true;
  }
}

/** The one connection, for one turn. */
class Held implements DatabaseConnection {
  inTransaction = false;
  /** Whoever died while it had its turn hears nothing any more. */
  isOver = false;
  readonly #execute: <R>(query: CompiledQuery) => QueryResult<R>;
  constructor(execute: <R>(query: CompiledQuery) => QueryResult<R>) {
    this.#execute = execute;
  }
  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    return this.isOver ? new Promise(() => undefined) : this.#execute<R>(query);
  }
  streamQuery(): never {
    throw new Error('impossible: nothing here streams');
  }
}

export function openDatabase(): Database {
  const db = new DatabaseSync(':memory:');
  const prepared = new Map<string, Prepared>();
  const answers = createAnswers();
  let busy = false;
  // What tables there are is asked at each start, and answered once for as long as nobody changes them.
  let metadata: ReturnType<DatabaseIntrospector['getTables']> | undefined;
  const waiting: { readonly owner: object; readonly grant: () => void }[] = [];

  const looks = new Map<string, { readonly statement: StatementSync; readonly query: Query }>();
  const looked = (sql: string) => {
    const known = looks.get(sql) ?? { statement: db.prepare(sql), query: answers.queryOf(sql, tables()) };
    looks.set(sql, known);
    return known;
  };
  let names: readonly string[] | undefined;
  const tables = (): readonly string[] =>
    (names ??= db
      .prepare(`select name from sqlite_master where type = 'table' and name not like 'sqlite_%'`)
      .all()
      .map(({ name }) => String(name)));

  const prepare = (sql: string): Prepared => {
    const known = prepared.get(sql);
    if (known !== undefined) return known;
    const statement = db.prepare(translated(sql));
    statement.setReturnArrays(true);
    const columns = statement.columns().map(({ name, type }) => ({ name, read: reading(type?.toLowerCase(), name) }));
    const made = { statement, columns, query: answers.queryOf(sql, tables()), does: doing(sql) };
    if (made.does !== 'define') {
      prepared.set(sql, made);
      return made;
    }
    [metadata, names] = [undefined, undefined];
    for (const statements of [prepared, looks]) statements.clear();
    return made;
  };

  const execute = <R>({ sql, parameters }: CompiledQuery): QueryResult<R> => {
    const { statement, columns, query, does } = prepare(sql);
    const values = parameters.map(given);
    if (columns.length === 0) {
      const changes = BigInt(statement.run(...values).changes);
      if (does !== 'write') answers.forget();
      else if (changes > 0n) answers.changed(query);
      return { rows: [], numAffectedRows: changes };
    }
    const ask = () =>
      statement.all(...values).map((row) => {
        const object: Record<string, unknown> = {};
        columns.forEach(({ name, read }, i) => {
          const value: unknown = Reflect.get(row, i);
          object[name] = value === null ? null : read(value);
        });
        return object;
      });
    const rows = does === 'read' ? answers.of(query, values, ask) : ask();
    if (does !== 'read') answers.changed(query);
    return { rows: [...rows] as R[], numAffectedRows: BigInt(rows.length) };
  };
  const undo = (statement: string): void => {
    db.exec(statement);
    answers.forget();
  };

  const connect = (gate: Gate, onDeath: (undo: () => void) => void): Kysely<NoTables> => {
    const mine = new Set<Held>();
    const letGo = (held: Held): void => {
      if (!mine.delete(held)) return;
      const next = waiting.shift();
      busy = next !== undefined;
      next?.grant();
    };
    // Whoever dies gives its turn to the next, and what it had begun is undone.
    onDeath(() => {
      for (let i = waiting.length - 1; i >= 0; i -= 1) if (waiting[i]?.owner === mine) waiting.splice(i, 1);
      for (const held of mine) {
        held.isOver = true;
        if (held.inTransaction) undo('rollback');
        letGo(held);
      }
    });
    const heldOf = (connection: DatabaseConnection): Held => {
      if (!(connection instanceof Held)) throw new Error('impossible: a connection of another driver');
      return connection;
    };
    const driver: Driver = {
      init: async () => undefined,
      acquireConnection: async () => {
        await gate('begin');
        if (busy) await new Promise<void>((grant) => void waiting.push({ owner: mine, grant }));
        busy = true;
        const held = new Held(execute);
        mine.add(held);
        return held;
      },
      beginTransaction: async (connection) => {
        db.exec('begin');
        heldOf(connection).inTransaction = true;
      },
      commitTransaction: async (connection) => {
        db.exec('commit');
        heldOf(connection).inTransaction = false;
        letGo(heldOf(connection));
        await gate('committed');
      },
      rollbackTransaction: async (connection) => {
        if (heldOf(connection).inTransaction) undo('rollback');
        heldOf(connection).inTransaction = false;
      },
      savepoint: async (_, name) => db.exec(`savepoint "${name}"`),
      rollbackToSavepoint: async (_, name) => undo(`rollback to "${name}"`),
      releaseSavepoint: async (_, name) => db.exec(`release "${name}"`),
      releaseConnection: async (connection) => letGo(heldOf(connection)),
      destroy: async () => undefined,
    };
    const dialect: Dialect = {
      createAdapter: () => new ManyConnections(),
      createDriver: () => driver,
      createIntrospector: (kysely) => {
        const introspector = new SqliteIntrospector(kysely);
        return Object.assign(introspector, {
          getTables: () =>
            (metadata ??= SqliteIntrospector.prototype.getTables.call(introspector, { withInternalKyselyTables: true })),
        });
      },
      createQueryCompiler: () => new PostgresQueryCompiler(),
    };
    return new Kysely<NoTables>({ dialect });
  };

  return {
    connect,
    snapshot: () =>
      new Map(
        tables().map((table) => [
          table,
          db
            .prepare(`select * from "${table}"`)
            .all()
            .map((row) => Object.values(row) as Row),
        ]),
      ),
    restore: (snapshot) => {
      for (const table of tables()) {
        looked(`delete from "${table}"`).statement.run();
        for (const row of snapshot.get(table) ?? [])
          looked(`insert into "${table}" values (${row.map(() => '?').join(', ')})`).statement.run(...row);
      }
      answers.forget();
    },
    rows: (sql, ...values) => {
      const { statement, query } = looked(sql);
      if (doing(sql) === 'read') return answers.of(query, values, () => statement.all(...values));
      answers.forget();
      return statement.all(...values);
    },
    lastChange: answers.lastChange,
    isWriting: () => db.isTransaction,
    close: () => db.close(),
  };
}
