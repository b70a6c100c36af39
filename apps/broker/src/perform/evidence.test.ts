import { hostName, type PinnedAgent, type SignedEvidence, type Timestamp, type TrustDomain, timestamp } from '@carnet/events';
import type { TrustStore } from '@carnet/pki';
import { beforeAll, describe, expect, it } from 'vitest';
import { digestOf } from '../../../../libs/saga/src/testing.ts';
import { witnessFault } from '../peers/agents.ts';
import { checkEvidence } from './evidence.ts';
import { A, B, type Certified, certified, HOST, NOW, NOW_MS } from './testing/certified.ts';
import { about, journeyAt } from './testing/fake-context.ts';

const OTHER = hostName.parse('host-2');
/** The intermediate begins five minutes before now. */
const MINUTE_MS = 60_000;
const at = (ms: number): Timestamp => timestamp.parse(new Date(ms).toISOString());
const EVENT = digestOf('7');
const SAID = about(journeyAt('VmStarted'), 'started', B);

let pki: Certified;
beforeAll(async () => {
  pki = await certified();
}, 120_000);

/** Judged at B's peer, where the event came to stand at `placedAt`. */
const judge = (signed: SignedEvidence | undefined, { placedAt = NOW, trust = pki.trust }: Judging = {}) =>
  checkEvidence(
    {
      ledgers: { placedAt: async () => placedAt } as never,
      peers: {
        witnessFault: (domain: TrustDomain, agent: PinnedAgent, then: Timestamp) =>
          witnessFault(trust, { at: then, now: NOW }, domain, agent),
      } as never,
    },
    { signed, agent: pki.agent(B), about: { ...SAID, kind: 'started' } as never, event: EVENT },
  );
interface Judging {
  readonly placedAt?: Timestamp;
  readonly trust?: TrustStore;
}
const textOf = async (judged: ReturnType<typeof judge>): Promise<string> => {
  const verdict = await judged;
  return verdict.ok ? 'ok' : `${verdict.code} ${verdict.text}`;
};

describe('evidence counts', () => {
  it('by the leaf that was pinned', async () => {
    expect(await judge(pki.testify(B, SAID))).toMatchObject({ ok: true, value: SAID });
  });

  it('by a renewed leaf of the same agent of the same host, which comes with it', async () => {
    expect(await judge(pki.renew(B, HOST).testify(SAID))).toMatchObject({ ok: true, value: SAID });
  });

  it('by a leaf that was revoked, or ended, only after the event came to stand here', async () => {
    const renewed = pki.renew(B, HOST);
    const later = pki.revoking(B, renewed.serial, NOW_MS - MINUTE_MS);
    expect(await textOf(judge(renewed.testify(SAID), { trust: later, placedAt: at(NOW_MS - 2 * MINUTE_MS) }))).toBe('ok');
    const short = pki.renew(B, HOST, { notBeforeMs: NOW_MS - 4 * MINUTE_MS, notAfterMs: NOW_MS - MINUTE_MS });
    expect(await textOf(judge(short.testify(SAID), { placedAt: at(NOW_MS - 2 * MINUTE_MS) }))).toBe('ok');
  });
});

describe('evidence does not count', () => {
  it.each<readonly [string, string, () => SignedEvidence | undefined]>([
    ['when there is none', 'there is no evidence', () => undefined],
    ["by another host's agent of the same CSP", '(IDENTITY_MISMATCH)', () => pki.renew(B, OTHER).testify(SAID)],
    ["by another CSP's agent", 'expected', () => pki.renew(A, HOST).testify(SAID)],
    ['by another agent that shows no leaf', 'not signed by the agent', () => pki.testify(B, SAID, OTHER)],
    [
      "by another agent that shows the pinned agent's leaf",
      'not signed by the agent',
      () => ({ ...pki.testify(B, SAID, OTHER), certificate: pki.agent(B).chain[0] ?? '' }),
    ],
    [
      'by a broker',
      'expected',
      () => ({ ...pki.signRequest(B, 'broker', SAID), certificate: pki.leafOf(B, 'broker').chain[0] ?? '' }),
    ],
    [
      'with something that is no certificate',
      'not signed by the agent',
      () => ({ ...pki.testify(B, SAID), certificate: 'AAAA' }),
    ],
    [
      'of another VM, though truly signed',
      'about another vm',
      () => pki.renew(B, HOST).testify({ ...SAID, vm: SAID.vm.replace('1b', '2b') }),
    ],
    ['of another host, though truly signed', 'about another host', () => pki.renew(B, HOST).testify({ ...SAID, host: OTHER })],
  ])('%s', async (_, words, signed) => {
    const text = await textOf(judge(signed()));
    expect(text).toMatch(/^EVIDENCE_INVALID /);
    if (words !== 'expected') expect(text).toContain(words);
  });

  it('by a leaf that had been revoked by then: a renewed one, and the pinned one too', async () => {
    const renewed = pki.renew(B, HOST);
    const trust = pki.revoking(B, renewed.serial, NOW_MS - MINUTE_MS);
    expect(await textOf(judge(renewed.testify(SAID), { trust }))).toContain('(REVOKED)');
    const pinned = pki.serialOf(pki.agent(B).chain[0] ?? '');
    expect(await textOf(judge(pki.testify(B, SAID), { trust: pki.revoking(B, pinned, NOW_MS - MINUTE_MS) }))).toContain(
      '(REVOKED)',
    );
  });

  it('by a leaf that had ended by then, or had not begun', async () => {
    const ended = pki.renew(B, HOST, { notBeforeMs: NOW_MS - 4 * MINUTE_MS, notAfterMs: NOW_MS - MINUTE_MS });
    expect(await textOf(judge(ended.testify(SAID)))).toContain('(EXPIRED)');
    const early = pki.renew(B, HOST, { notBeforeMs: NOW_MS + MINUTE_MS, notAfterMs: NOW_MS + 4 * MINUTE_MS });
    expect(await textOf(judge(early.testify(SAID)))).toMatch(/^EVIDENCE_INVALID .*\(NOT_YET_VALID\)/);
  });

  it('while no revocation list is fresh: it may count later', async () => {
    expect(await textOf(judge(pki.testify(B, SAID), { trust: { ...pki.trust, crls: [] } }))).toMatch(
      /^EVIDENCE_UNJUDGED .*CRL_MISSING/,
    );
  });
});
