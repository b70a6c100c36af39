import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { intentRequest, PAYLOAD_TYPES, type TrustDomain } from '@carnet/events';
import { decideMove, type PolicySet } from '@carnet/policy';
import { sha256Hex } from '@carnet/trust';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { A, B, filesOf, intentOf, receiving, sending, setOf } from '../../../libs/policy/src/testing.ts';
import { DIGEST, entry, MIGRATION, policy, request } from './testing/samples.ts';
import { openStandIn, type StandIn } from './testing/stand-in.ts';
import { carnet } from './testing/terminal.ts';

let broker: StandIn;
beforeAll(async () => {
  broker = await openStandIn();
}, 60_000);
afterAll(() => broker.close());

const run = (...args: readonly string[]) => carnet(args, broker.configHome);
const RULES = '@id("all") permit (principal, action, resource);';
const STRICTER = `${RULES}\n@id("cold-no-more") @reason("TOO_LARGE") forbid (principal, action, resource) when { resource.memoryMiB > 200 };`;
const SET = setOf(RULES);

/** A folder with these rules. */
function folder(name: string, rules: string): string {
  const at = join(broker.configHome, name);
  mkdirSync(at, { recursive: true });
  for (const [file, text] of filesOf(rules, { version: 2 })) writeFileSync(join(at, file), text);
  return at;
}

let seq = 0;
const eventOf = (publisher: TrustDomain, type: string, data: object): object => ({
  id: `01936ad4-0000-7000-8000-${String(++seq).padStart(12, '0')}`,
  v: 1,
  publisher,
  audience: publisher === A ? B : A,
  seq: String(seq),
  prev: DIGEST,
  causes: [],
  time: '2026-11-23T12:00:00.000Z',
  type,
  migration: MIGRATION,
  epoch: 1,
  data,
});

/** A past migration from A to B, decided by a set. */
function history(set: PolicySet): readonly object[] {
  const intent = intentOf();
  const { epoch: _, ...said } = intent;
  const at = '2026-11-23T13:00:00.000Z';
  const intended = { ...said, policy: decideMove(set, sending(intent), intent), offerBy: at, deadline: at };
  const refused = {
    intent: DIGEST,
    reasons: [{ code: 'NO_HOST', text: 'none' }],
    policy: decideMove(set, receiving(intent), intent),
  };
  return [eventOf(A, 'MigrationIntended', intended), eventOf(B, 'MigrationRefused', refused)];
}
const scripted = (set = SET): void => {
  const events = history(set);
  broker.script({
    'GET /v1/events': { json: { items: events.map((event, i) => entry(i + 1, { event })) } },
    'GET /v1/policy': { json: policy },
  });
};

describe('carnet policy test', () => {
  it('on a past migration: what these rules would decide, on this side’s own decision', async () => {
    scripted();
    const { exit, out } = await run('policy', 'test', folder('same', RULES), '--migration', MIGRATION);
    expect([exit, JSON.parse(out)]).toMatchObject([
      0,
      [{ side: 'source', decided: 'allow', would: 'allow', changes: false, policies: ['all'] }],
    ]);
  });

  it('where they would deny: exit 5, and the policy by name', async () => {
    scripted();
    const { exit, out } = await run('policy', 'test', folder('stricter', STRICTER), '--migration', MIGRATION);
    expect([exit, JSON.parse(out)]).toMatchObject([
      5,
      [{ would: 'deny', changes: true, policies: ['cold-no-more'], reasons: [{ code: 'TOO_LARGE' }] }],
    ]);
  });

  it('on all: those that would change', async () => {
    scripted();
    const { exit, out, err } = await run('policy', 'test', folder('stricter', STRICTER), '--all');
    expect([exit, JSON.parse(out).length, err]).toEqual([0, 1, '1 of 1 decisions would change\n']);
    const same = await run('policy', 'test', folder('same', RULES), '--all');
    expect([same.exit, JSON.parse(same.out), same.err]).toEqual([0, [], '0 of 1 decisions would change\n']);
  });

  it('on an intent in a file, without any broker', async () => {
    broker.script({});
    const file = join(broker.configHome, 'intent.json');
    writeFileSync(file, JSON.stringify(history(SET)[0]));
    expect((await run('policy', 'test', folder('same', RULES), '--intent', file)).exit).toBe(0);
    expect((await run('policy', 'test', folder('stricter', STRICTER), '--intent', file)).exit).toBe(5);
    writeFileSync(file, '{}');
    expect(await run('policy', 'test', folder('same', RULES), '--intent', file)).toMatchObject({ exit: 2 });
    expect(broker.seen).toEqual([]);
  });

  it.each([
    ['nothing to test on', 'ARGUMENT_INVALID', RULES, []],
    ['two things at once', 'ARGUMENT_INVALID', RULES, ['--all', '--migration', MIGRATION]],
    ['what is no Cedar', 'POLICY_SYNTAX', 'permit everything', ['--all']],
  ])('with %s: usage', async (_, code, rules, args) => {
    const { exit, err } = await run('policy', 'test', folder('faulty', rules), ...args);
    expect([exit, err]).toEqual([2, expect.stringContaining(code)]);
  });
});

describe('carnet policy explain', () => {
  it('says of both sides which policies determined the decision, and why', async () => {
    scripted(setOf(STRICTER));
    const { exit, out } = await run('policy', 'explain', MIGRATION);
    expect(exit).toBe(0);
    expect(JSON.parse(out)).toMatchObject([
      {
        side: 'source',
        decided: 'deny',
        policies: ['cold-no-more'],
        reasons: [{ code: 'TOO_LARGE', text: expect.stringContaining('policy cold-no-more') }],
      },
      { side: 'target', decided: 'deny', policies: ['cold-no-more'] },
    ]);
  });
  it('of what nobody decided: refused', async () => {
    broker.script({ 'GET /v1/events': { json: { items: [] } } });
    expect(await run('policy', 'explain', MIGRATION)).toMatchObject({
      exit: 5,
      err: expect.stringContaining('MIGRATION_UNKNOWN'),
    });
  });
});

describe('carnet migration approve', () => {
  it('signs exactly the content of the request that waits', async () => {
    broker.script({
      'GET /v1/requests': { json: { items: [request] } },
      [`POST /v1/requests/${MIGRATION}/approve`]: { json: { migration: MIGRATION, digest: DIGEST, repeated: false } },
    });
    const { exit, err } = await run('migration', 'approve', MIGRATION);
    expect([exit, err]).toEqual([0, expect.stringContaining('spiffe://csp-a.example/scheduler asked to move')]);
    const body = broker.seen.at(-1)?.body;
    expect(body).toMatchObject({ signed: { envelope: { payloadType: PAYLOAD_TYPES.approval } } });
    const { signed } = body as { readonly signed: { readonly envelope: { readonly payload: string } } };
    const content = sha256Hex(Buffer.from(JSON.stringify(intentRequest.parse(request.request))));
    expect(JSON.parse(Buffer.from(signed.envelope.payload, 'base64').toString())).toEqual({
      approves: 'migration',
      request: content,
    });
  });
  it('by a token: the door vouches', async () => {
    broker.script({
      'GET /v1/requests': { json: { items: [request] } },
      [`POST /v1/requests/${MIGRATION}/approve`]: { json: { migration: MIGRATION, digest: DIGEST, repeated: false } },
    });
    await run('migration', 'approve', MIGRATION, '--context', 'scheduler');
    expect(broker.seen.at(-1)?.body).toEqual({});
  });
  it('of what does not wait: refused, and nothing is sent', async () => {
    broker.script({ 'GET /v1/requests': { json: { items: [] } } });
    expect(await run('migration', 'approve', MIGRATION)).toMatchObject({
      exit: 5,
      err: expect.stringContaining('APPROVAL_UNKNOWN'),
    });
    expect(broker.seen).toHaveLength(1);
  });
});
