import { type Logger, pino } from 'pino';

export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error' | 'child'>;
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Last line of defence: these names never carry a value into a log, wherever they stand. The first line is not to log them. */
const REDACTED = ['key', 'secret', 'passphrase', 'token', 'authorization', 'password', 'ct', 'enc', 'sig'];

/** JSON lines on stderr (stdout is for results), ISO times, fields of the design: `migration`, `side`, `peer`, `seq`, `command`, `attempt`, `code`. */
export function createLog(name: string, level: LogLevel): Log {
  return pino(
    {
      name,
      level,
      base: { name },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: REDACTED.flatMap((field) => [field, `*.${field}`]), censor: '[redacted]' },
    },
    pino.destination({ fd: 2, sync: true }),
  );
}
