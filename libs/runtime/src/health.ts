import { PROBE_MS_MAX } from './limits.ts';

/** One thing that must work before this process may take work: a database, the bus, a host. */
export interface Check {
  readonly name: string;
  readonly probe: () => Promise<void> | void;
}

export interface CheckResult {
  readonly name: string;
  readonly ok: boolean;
  readonly text?: string;
}

/** Runs every check side by side, each bounded. */
export async function readiness(
  checks: readonly Check[],
): Promise<{ readonly ready: boolean; readonly checks: readonly CheckResult[] }> {
  const results = await Promise.all(checks.map(runCheck));
  return { ready: results.every((result) => result.ok), checks: results };
}

async function runCheck(check: Check): Promise<CheckResult> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`no answer within ${PROBE_MS_MAX} ms`)), PROBE_MS_MAX);
  try {
    await Promise.race([Promise.resolve().then(check.probe), late]);
    return { name: check.name, ok: true };
  } catch (cause) {
    return { name: check.name, ok: false, text: cause instanceof Error ? cause.message : String(cause) };
  } finally {
    clearTimeout(timer);
  }
}
