import { LOG_LEVELS } from '@carnet/runtime';
import { z } from 'zod';

const path = z.string().min(1);

/** The console's configuration file (TOML). Secrets stand behind paths, never in it. */
export const consoleConfig = z.strictObject({
  /** Loopback only: this version has no users of its own, so whoever reaches the port must be on this machine. */
  listen: z.strictObject({ address: z.enum(['127.0.0.1', '::1']).default('127.0.0.1'), port: z.int().min(0).max(65_535) }),
  /** The CSP's own broker, and a certificate of this CSP that its policy lets read (`viewer` or `auditor`). */
  broker: z.strictObject({
    url: z.url({ protocol: /^https$/ }),
    /** Name in the broker's certificate, e.g. `broker.csp-a.example`. */
    serverName: z.string().min(1),
    rootFile: path,
    certificateFile: path,
    keyFile: path,
  }),
  log: z.strictObject({ level: z.enum(LOG_LEVELS).default('info') }).prefault({}),
});
export type ConsoleConfig = z.infer<typeof consoleConfig>;
