import { describe, expect, it } from 'vitest';
import { readiness } from './health.ts';

describe('readiness', () => {
  it('is ready only when every check passes, and says which does not', async () => {
    const up = { name: 'database', probe: () => undefined };
    const down = { name: 'bus', probe: () => Promise.reject(new Error('not connected')) };
    expect(await readiness([up])).toEqual({ ready: true, checks: [{ name: 'database', ok: true }] });
    expect(await readiness([up, down])).toEqual({
      ready: false,
      checks: [
        { name: 'database', ok: true },
        { name: 'bus', ok: false, text: 'not connected' },
      ],
    });
  });

  it('counts a probe that never answers as failed', async () => {
    const { ready, checks } = await readiness([{ name: 'hung', probe: () => new Promise<never>(() => undefined) }]);
    expect(ready).toBe(false);
    expect(checks[0]?.text).toMatch(/no answer within/);
  });
});
