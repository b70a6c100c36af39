import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import { eventually } from '@carnet/dev';
import { digest, spiffeId, trustDomain } from '@carnet/events';
import { createIntermediate, createRoot, introducingTlsOptions, issueLeaf, type TlsMaterial } from '@carnet/pki';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ask } from './ask.ts';
import { fingerprintOf } from './card.ts';
import { type Invitation, readInvitation, writeInvitation } from './invitation.ts';
import { openInviter } from './inviter.ts';
import {
  ANSWER_MS_MAX,
  INVITATIONS_KEPT_MS,
  INVITATIONS_OPEN_MAX,
  PEERS_MAX,
  PROOFS_WRONG_MAX,
  UNCONFIRMED_MS_MAX,
} from './limits.ts';
import { A, ADMIN, B, C, createWorld, type Side, type World } from './testing/two-sides.ts';
import { FINISH_PATH, finishAnswer, HELLO_PATH, helloAnswer, NEWS_PATH, newsAnswer } from './wire.ts';

const HOUR_MS = 3_600_000;
let world: World;
let a: Side;
let b: Side;
beforeAll(async () => {
  world = await createWorld();
}, 120_000);
afterAll(() => world?.close());
beforeEach(async () => {
  await world.clean();
  a = await world.side(A);
  b = await world.side(B);
  await a.openDoor();
});

const must = <T>(result: { readonly ok: true; readonly value: T } | { readonly ok: false; readonly code: string }): T => {
  if (!result.ok) throw new Error(result.code);
  return result.value;
};
const invite = async (to = B): Promise<string> =>
  must(await a.service.invite({ domain: to, dataPaths: [], hours: 1 }, ADMIN)).invitation;
const joinAs = (side: Side, invitation: string) => side.service.join({ invitation, dataPaths: [] }, ADMIN);
const joinCode = async (side: Side, invitation: string): Promise<string> => {
  const joined = await joinAs(side, invitation);
  return joined.ok ? 'ok' : joined.code;
};
/** The invitation with something else in it, and check digits that fit. */
const altered = (text: string, change: Partial<Invitation>): string =>
  writeInvitation({ ...must(readInvitation(text)), ...change });
const rowOf = async (side: Side, peer: typeof A) => (await side.service.peerings()).find(({ domain }) => domain === peer);
const both = async () => ({ a: await a.rows(), b: await b.rows() });

describe('two CSPs', () => {
  it('know each other once both confirmed what both were shown, and not before; either may remove the other', async () => {
    const text = await invite();
    expect(must(await joinAs(b, text))).toMatchObject({ domain: A, state: 'unconfirmed', side: 'joined' });
    const atA = await rowOf(a, B);
    const atB = await rowOf(b, A);
    expect(atA?.code).toBe(atB?.code);
    expect([atA?.issuer, atA?.ownIssuer]).toEqual([atB?.ownIssuer, atB?.issuer]);
    expect((await a.service.invitations()).map(({ state }) => state)).toEqual(['used']);

    must(await a.service.confirm(B, atA?.code ?? '', ADMIN));
    await eventually('A’s word at B', async () => ((await rowOf(b, A))?.state === 'confirmed-there' ? true : undefined));
    await Promise.all([a.tending.settle(), b.tending.settle()]);
    expect([a.attached, b.attached, a.invited.issuers.size, b.invited.issuers.size]).toEqual([[], [], 0, 0]);

    must(await b.service.confirm(A, (atB?.code ?? '').replaceAll(' ', '-'), ADMIN));
    await eventually('the peer at both', () => (a.attached.length + b.attached.length === 2 ? true : undefined));
    expect([a.attached, b.attached]).toEqual([[B], [A]]);
    // Before a move can begin, hosts have the list by which they judge the peer's agents.
    expect([a.order, b.order]).toEqual([
      ['hosts', 'ledgers'],
      ['hosts', 'ledgers'],
    ]);
    expect(a.invited.issuers.get(B)).toBe(atA?.issuer);
    expect(b.invited.issuers.get(A)).toBe(atB?.issuer);
    expect([(await rowOf(a, B))?.state, (await rowOf(b, A))?.state]).toEqual(['trusted', 'trusted']);

    must(await a.service.remove(B));
    await eventually('the end at A', () => (a.attached.length === 0 ? true : undefined));
    expect([a.invited.issuers.size, await rowOf(a, B)]).toEqual([0, undefined]);
    expect(await a.service.remove(B)).toMatchObject({ code: 'PEER_UNKNOWN' });
    // What the removed side keeps is its own to remove; an invitation begins from nothing.
    expect(await joinCode(b, await invite())).toBe('PEER_EXISTS');
    must(await b.service.remove(A));
    expect(await joinCode(b, await invite())).toBe('ok');
  }, 30_000);

  it('keep no secret: not in the tables of either side, not in a log, not in a refusal', async () => {
    const text = await invite();
    const secret = Buffer.from(must(readInvitation(text)).secret);
    const wrong = altered(text, { secret: randomBytes(32) });
    const refused = await joinAs(b, wrong);
    must(await joinAs(b, text));
    const everything = JSON.stringify([
      await both(),
      a.log,
      b.log,
      refused,
      await a.service.invitations(),
      await b.service.peerings(),
    ]);
    for (const form of ['hex', 'base64', 'base64url'] as const) expect(everything).not.toContain(secret.toString(form));
    expect(everything).not.toContain(text.split('.')[1]);
  });
});

describe('is refused, and nothing is kept at either side:', () => {
  /** Joins with it, and compares both sides’ tables before and after, but for the count of wrong proofs. */
  const refusedWith = async (code: string, text: string, joiner = b): Promise<void> => {
    const before = await both();
    expect(await joinCode(joiner, text)).toBe(code);
    const clean = (of: unknown): unknown =>
      JSON.parse(JSON.stringify(of, (key, value) => (key === 'wrong_proofs' || key === 'hello' ? undefined : value)));
    expect(clean(await both())).toEqual(clean(before));
    expect([a.attached, joiner.attached]).toEqual([[], []]);
  };

  it('another secret; after five of them the invitation is spent, for the right one too', async () => {
    const text = await invite();
    for (let tries = 1; tries < PROOFS_WRONG_MAX; tries += 1)
      await refusedWith('INVITATION_SECRET_WRONG', altered(text, { secret: randomBytes(32) }));
    expect((await a.service.invitations())[0]?.state).toBe('open');
    expect(await joinCode(b, altered(text, { secret: randomBytes(32) }))).toBe('INVITATION_SECRET_WRONG');
    await refusedWith('INVITATION_SPENT', text);
  });

  it('an expired one, by the clock of either side, whatever the text says', async () => {
    const text = await invite();
    b.skew(2 * HOUR_MS);
    await refusedWith('INVITATION_EXPIRED', text);
    b.skew(0);
    a.skew(2 * HOUR_MS);
    await refusedWith('INVITATION_EXPIRED', text);
    const { until } = must(readInvitation(text));
    await refusedWith('INVITATION_EXPIRED', altered(text, { until: until.replace(/^\d{4}/, '2099') as typeof until }));
  });

  it('one that was used, withdrawn, or never made', async () => {
    const text = await invite();
    must(await joinAs(b, text));
    must(await b.service.remove(A));
    await refusedWith('INVITATION_USED', text);
    must(await a.service.remove(B));
    const second = await invite();
    must(await a.service.revoke(must(readInvitation(second)).id));
    await refusedWith('INVITATION_REVOKED', second);
    await refusedWith('INVITATION_UNKNOWN', altered(second, { id: 'ab'.repeat(8) }));
  });

  it('by another CSP than it is for, in its own name or in the other’s', async () => {
    const text = await invite();
    const c = await world.side(C);
    await refusedWith('INVITATION_OTHER_DOMAIN', text, c);
    await refusedWith('INVITATION_OTHER_DOMAIN', altered(text, { to: C }), c);
    const before = await both();
    const { url, issuer, id } = must(readInvitation(text));
    const tls = introducingTlsOptions(c.tls, { domain: A, issuer });
    const hello = { invitation: id, from: B, nonce: 'ab'.repeat(32), card: c.ports.ownCard() };
    const asked = await ask(tls, `${url}${HELLO_PATH}`, hello, helloAnswer);
    expect(asked).toMatchObject({ code: 'PEERING_REFUSED_THERE', text: expect.stringContaining('DOMAIN_MISMATCH') });
    expect(await both()).toEqual(before);
  });

  it('of another federation, another bus, or for oneself', async () => {
    const text = await invite();
    await refusedWith('PEERING_ROOT_OTHER', altered(text, { root: digest.parse('ab'.repeat(32)) }));
    const elsewhere = await world.side(B, { ownCard: () => ({ ...b.ports.ownCard(), bus: trustDomain.parse('other.example') }) });
    await refusedWith('PEERING_BUS_OTHER', text, elsewhere);
    expect(await a.service.invite({ domain: A, dataPaths: [], hours: 1 }, ADMIN)).toMatchObject({ code: 'PEERING_SELF' });
  });

  it('a peer already: what is pinned of it is never replaced, by invitation or by joining', async () => {
    const text = await invite();
    const second = await invite();
    must(await joinAs(b, text));
    const before = await both();
    expect(await joinCode(b, second)).toBe('PEER_EXISTS');
    must(await b.service.remove(A));
    expect(await joinCode(b, second)).toBe('PEER_EXISTS');
    expect(await a.service.invite({ domain: B, dataPaths: [], hours: 1 }, ADMIN)).toMatchObject({ code: 'PEER_EXISTS' });
    expect((await both()).a).toEqual(before.a);
    const configured = await world.side(B, { configured: [A] });
    expect(await joinCode(configured, second)).toBe('PEER_EXISTS');
    expect(await configured.service.remove(A)).toMatchObject({ code: 'PEER_CONFIGURED' });
  });
});

describe('somebody between the two', () => {
  const materialUnder = (authority: Parameters<typeof issueLeaf>[0]): TlsMaterial => {
    const keys = generateKeyPairSync('rsa', { modulusLength: 3_072 });
    const lifetime = { notBeforeMs: Date.now() - 60_000, notAfterMs: Date.now() + HOUR_MS };
    const id = spiffeId.parse(`spiffe://${A}/broker`);
    const leaf = issueLeaf(authority, {
      ...lifetime,
      profile: 'broker',
      spiffeId: id,
      dnsNames: [],
      publicKey: keys.publicKey,
      random: randomBytes,
    });
    const keyPem = keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    return { ...a.tls, keyPem, chainPem: leaf.pem };
  };

  it('with an authority of A’s name that the root was talked into, or with another root, is not spoken to', async () => {
    const text = await invite();
    const life = { notBeforeMs: Date.now() - 60_000, notAfterMs: Date.now() + 2 * HOUR_MS };
    const keys = generateKeyPairSync('rsa', { modulusLength: 3_072 });
    const impostor = createIntermediate(world.pki.root, { ...life, domain: A, keys, random: randomBytes });
    const url = await a.openDoor({}, materialUnder(impostor));
    expect(await joinCode(b, altered(text, { url }))).toBe('ISSUER_NOT_PINNED');
    // His own authority in the invitation instead: the secret's owner never agreed to that.
    const other = { url, issuer: fingerprintOf(Buffer.from(impostor.certificate).toString('base64')) };
    expect(await joinCode(b, altered(text, other))).not.toBe('ok');
    // Another federation, with the same names in it.
    const root = createRoot({ ...life, name: 'Carnet federation root', keys, random: randomBytes });
    const foreign = createIntermediate(root, { ...life, domain: A, keys, random: randomBytes });
    const elsewhere = altered(text, { url: await a.openDoor({}, materialUnder(foreign)) });
    expect(await joinCode(b, elsewhere)).toBe('PEERING_UNREACHABLE');
    expect(await rowOf(b, A)).toBeUndefined();
  });

  it('who does not know the secret proves nothing to B, though he has A’s certificate', async () => {
    const text = await invite();
    const genuine = openInviter(a.ports);
    const url = await a.openDoor({ ...genuine, finish: async () => ({ ok: true, value: { proof: 'ab'.repeat(32) } }) });
    expect(await joinCode(b, altered(text, { url }))).toBe('INVITATION_SECRET_WRONG');
    expect(await rowOf(b, A)).toBeUndefined();
  });

  it.each<[string, (said: Awaited<ReturnType<ReturnType<typeof openInviter>['hello']>>) => typeof said]>([
    [
      'event key',
      (said) =>
        said.ok
          ? { ok: true, value: { ...said.value, card: { ...said.value.card, eventKey: digest.parse('cd'.repeat(32)) } } }
          : said,
    ],
    ['nonce', (said) => (said.ok ? { ok: true, value: { ...said.value, nonce: 'cd'.repeat(32) } } : said)],
  ])('who changes the %s on its way is noticed by the proof', async (_, change) => {
    const text = await invite();
    const genuine = openInviter(a.ports);
    const url = await a.openDoor({ ...genuine, hello: async (leaf, asked) => change(await genuine.hello(leaf, asked)) });
    expect(await joinCode(b, altered(text, { url }))).toBe('INVITATION_SECRET_WRONG');
    expect([await rowOf(a, B), await rowOf(b, A)]).toEqual([undefined, undefined]);
  });

  it('who recorded a proof gets nothing by it: not again, not with the next invitation', async () => {
    const heard: { readonly leaf: string; readonly asked: Parameters<ReturnType<typeof openInviter>['finish']>[1] }[] = [];
    const genuine = openInviter(a.ports);
    const recording = {
      ...genuine,
      finish: async (...[leaf, asked]: Parameters<typeof genuine.finish>) => {
        heard.push({ leaf, asked });
        return genuine.finish(leaf, asked);
      },
    };
    const url = await a.openDoor(recording);
    must(await joinAs(b, altered(await invite(), { url })));
    const [first] = heard;
    if (first === undefined) throw new Error('nothing was heard');
    const before = await a.rows();
    expect(await genuine.finish(first.leaf, first.asked)).toMatchObject({ code: 'INVITATION_USED' });
    expect(await a.rows()).toEqual(before);
    must(await a.service.remove(B));
    const next = must(readInvitation(await invite())).id;
    expect(await genuine.finish(first.leaf, { ...first.asked, invitation: next })).toMatchObject({ code: 'PEERING_NOT_BEGUN' });
    const hello = { invitation: next, from: B, nonce: 'ab'.repeat(32), card: b.ports.ownCard() };
    must(await genuine.hello(first.leaf, hello));
    expect(await genuine.finish(first.leaf, { ...first.asked, invitation: next })).toMatchObject({
      code: 'INVITATION_SECRET_WRONG',
    });
    expect(await rowOf(a, B)).toBeUndefined();
  });
});

describe('whose certificate is not good', () => {
  it('is not joined, and does not join: revoked by the very list that comes with it, or no list at all', async () => {
    const text = await invite();
    writeFileSync(join(a.crlDirectory, `${A}.der`), world.listOf(A, [world.leafOf(A).der]));
    const revoked = await world.side(A);
    const revokedList = {
      ...revoked.ports.ownCard(),
      crls: [Buffer.from(world.listOf(A, [world.leafOf(A).der])).toString('base64')],
    };
    const genuine = openInviter(a.ports);
    const withCard = async (card: typeof revokedList): Promise<string> =>
      a.openDoor({
        ...genuine,
        hello: async (leaf, asked) => {
          const said = await genuine.hello(leaf, asked);
          return said.ok ? { ok: true, value: { ...said.value, card } } : said;
        },
      });
    expect(await joinCode(b, altered(text, { url: await withCard(revokedList) }))).toBe('REVOKED');
    expect(await joinCode(b, altered(text, { url: await withCard({ ...revokedList, crls: [] }) }))).toBe('CRL_MISSING');
    const forB = [Buffer.from(world.listOf(B, [world.leafOf(B).der])).toString('base64')];
    const leaf = Buffer.from(world.leafOf(B).der).toString('base64');
    const { id } = must(readInvitation(text));
    const hello = (crls: readonly string[]) =>
      genuine.hello(leaf, { invitation: id, from: B, nonce: 'ab'.repeat(32), card: { ...b.ports.ownCard(), crls } });
    const agent = Buffer.from(world.leafOf(B, 'agent-h1').der).toString('base64');
    const asAgent = { invitation: id, from: B, nonce: 'ab'.repeat(32), card: b.ports.ownCard() };
    expect(await genuine.hello(agent, asAgent)).toMatchObject({ code: 'IDENTITY_MISMATCH' });
    expect(await hello([])).toMatchObject({ code: 'CRL_MISSING' });
    expect(await hello(forB)).toMatchObject({ code: 'REVOKED' });
    expect([await rowOf(a, B), await rowOf(b, A)]).toEqual([undefined, undefined]);
  });
});

describe('confirming', () => {
  const joined = async (): Promise<string> => {
    must(await joinAs(b, await invite()));
    return (await rowOf(b, A))?.code ?? '';
  };

  it('takes the code: another one changes nothing', async () => {
    const code = await joined();
    const before = await both();
    const wrong = code.replace(/^\d/, (digit) => String((Number(digit) + 1) % 10));
    for (const typed of [wrong, '', code.slice(0, -1)])
      expect(await b.service.confirm(A, typed, ADMIN)).toMatchObject({ code: 'PEERING_CODE_WRONG' });
    expect(await b.service.confirm(C, code, ADMIN)).toMatchObject({ code: 'PEER_UNKNOWN' });
    expect(await both()).toEqual(before);
  });

  it('takes another person where that is wanted', async () => {
    const careful = await world.side(B, { confirmedBy: 'another' });
    must(await joinAs(careful, await invite()));
    const { code = '' } = (await rowOf(careful, A)) ?? {};
    expect(await careful.service.confirm(A, code, ADMIN)).toMatchObject({ code: 'PEERING_SAME_PERSON' });
    // Under another name the same person is the same, and a key is none.
    for (const same of ['spiffe://csp-b.example/operator/administrator', 'api-key/other'])
      expect(await careful.service.confirm(A, code, same)).toMatchObject({ code: 'PEERING_SAME_PERSON' });
    expect(await careful.service.confirm(A, code, `${ADMIN}-2`)).toMatchObject({ ok: true });
  });

  it('has its time: after a week nobody may, nobody’s word counts, and both say so', async () => {
    const code = await joined();
    a.skew(UNCONFIRMED_MS_MAX + HOUR_MS);
    expect(await a.service.confirm(B, code, ADMIN)).toMatchObject({ code: 'PEERING_EXPIRED' });
    expect((await rowOf(a, B))?.state).toBe('expired');
    const { transcript } = (await b.ports.rows.peering(A)) ?? {};
    if (transcript === undefined) throw new Error('B joined');
    const news = { from: B, transcript, confirmed: true, crls: [] };
    const leaf = Buffer.from(world.leafOf(B).der).toString('base64');
    expect(await openInviter(a.ports).news(leaf, news)).toMatchObject({ code: 'PEERING_UNKNOWN' });
    expect((await rowOf(a, B))?.confirmedThereAt).toBeUndefined();
  });

  it('for the other side takes its certificate and this very exchange', async () => {
    await joined();
    const { transcript } = (await b.ports.rows.peering(A)) ?? {};
    if (transcript === undefined) throw new Error('B joined');
    const { news } = openInviter(a.ports);
    const leafOf = (domain: typeof A, name?: string): string => Buffer.from(world.leafOf(domain, name).der).toString('base64');
    const said = { from: B, transcript, confirmed: true, crls: [] };
    const before = await a.rows();
    expect(await news(leafOf(C), said)).toMatchObject({ ok: false });
    expect(await news(leafOf(B, 'operator'), said)).toMatchObject({ ok: false });
    expect(await news(leafOf(C), { ...said, from: C })).toMatchObject({ code: 'PEERING_UNKNOWN' });
    expect(await news(leafOf(B), { ...said, transcript: digest.parse('ab'.repeat(32)) })).toMatchObject({
      code: 'PEERING_UNKNOWN',
    });
    expect(await a.rows()).toEqual(before);
    expect(await news(leafOf(B), said)).toMatchObject({ ok: true });
    expect((await rowOf(a, B))?.state).toBe('confirmed-there');
  });
});

it('a peer is one after a restart and at another replica, without asking anybody; the configuration’s word stands over it', async () => {
  must(await joinAs(b, await invite()));
  const { code = '' } = (await rowOf(a, B)) ?? {};
  must(await a.service.confirm(B, code, ADMIN));
  must(await b.service.confirm(A, code, ADMIN));
  await eventually('the peer at A', () => (a.attached.length === 1 ? true : undefined));
  const configured = await world.side(A, { configured: [B] });
  await configured.tending.settle();
  expect([configured.attached, configured.invited.issuers.size]).toEqual([[], 0]);
  const again = await world.side(A);
  await again.tending.settle();
  await eventually('the peer at the replica', () => (again.attached.length === 1 ? true : undefined));
  expect(again.invited.issuers).toEqual(a.invited.issuers);
  must(await again.service.remove(B));
  await eventually('the end at the other', () => (a.attached.length === 0 ? true : undefined));
}, 30_000);

it('no more invitations are open than anybody looks after; what ended long ago is forgotten', async () => {
  const made: string[] = [];
  for (let n = 0; n < INVITATIONS_OPEN_MAX; n += 1) made.push(await invite());
  const one = { domain: B, dataPaths: [], hours: 1 };
  expect(await a.service.invite(one, ADMIN)).toMatchObject({ code: 'INVITATIONS_TOO_MANY' });
  must(await a.service.revoke(must(readInvitation(made[0] ?? '')).id));
  must(await a.service.invite(one, ADMIN));
  a.skew(INVITATIONS_KEPT_MS + 2 * HOUR_MS);
  must(await a.service.invite(one, ADMIN));
  expect((await a.service.invitations()).map(({ state }) => state)).toEqual(['open']);
  const silent = await world.side(A);
  expect(await silent.service.invite(one, ADMIN)).toMatchObject({ code: 'PEERING_NO_DOOR' });
  const full = await world.side(B, {
    configured: Array.from({ length: PEERS_MAX }, (_, n) => trustDomain.parse(`csp-${n}.example`)),
  });
  expect(await joinCode(full, await invite())).toBe('PEERS_TOO_MANY');
});

it('a peer with which migrations are under way is not removed; what it brings later reaches the folder of lists', async () => {
  const busy = await world.side(A, { openMigrationsWith: async () => 2 });
  const text = await invite();
  must(await joinAs(b, text));
  expect(await busy.service.remove(B, true)).toMatchObject({ code: 'PEER_BUSY' });
  const deaf = await world.side(A, { unheardBy: async () => 1 });
  expect(await deaf.service.remove(B)).toMatchObject({ code: 'PEER_UNHEARD' });
  const restored = await world.side(A, { unheardBy: async () => 'unknown' });
  expect(await restored.service.remove(B)).toMatchObject({ code: 'PEER_UNHEARD', text: expect.stringContaining('quarantine') });
  expect(await rowOf(restored, B)).toBeDefined();
  expect(await rowOf(deaf, B)).toBeDefined();
  const { code = '' } = (await rowOf(a, B)) ?? {};
  must(await a.service.confirm(B, code, ADMIN));
  must(await b.service.confirm(A, code, ADMIN));
  await eventually('the peer at A', () => (a.attached.length === 1 ? true : undefined));
  const newer = Buffer.from(world.listOf(B, [world.leafOf(B, 'operator').der]));
  const { transcript } = (await b.ports.rows.peering(A)) ?? {};
  if (transcript === undefined) throw new Error('B joined');
  const leaf = Buffer.from(world.leafOf(B).der).toString('base64');
  const news = { from: B, transcript, confirmed: true, crls: [newer.toString('base64')] };
  must(await openInviter(a.ports).news(leaf, news));
  await a.tending.settle();
  expect(readFileSync(join(a.crlDirectory, `${B}.der`)).equals(newer)).toBe(true);
  // An older one, or one of somebody else, takes nothing's place.
  must(await openInviter(a.ports).news(leaf, { ...news, crls: [Buffer.from(world.listOf(C, [])).toString('base64')] }));
  await a.tending.settle();
  expect(readFileSync(join(a.crlDirectory, `${B}.der`)).equals(newer)).toBe(true);
  // It will never be back, says who removes it.
  expect(await deaf.service.remove(B, true)).toEqual({ ok: true, value: { domain: B } });
  expect(await rowOf(a, B)).toBeUndefined();
}, 30_000);

it('a peer that never says what it holds of a restored CSP is removed with what was under way: nothing else would ever end', async () => {
  const stuck = await world.side(A, { unheardBy: async () => 'unknown', openMigrationsWith: async () => 2 });
  must(await joinAs(b, await invite()));
  expect(await stuck.service.remove(B)).toMatchObject({ code: 'PEER_UNHEARD' });
  expect(await rowOf(stuck, B)).toBeDefined();
  expect(await stuck.service.remove(B, true)).toEqual({ ok: true, value: { domain: B } });
  expect(await rowOf(stuck, B)).toBeUndefined();
});

it('what is wrong with one peer keeps no other from coming', async () => {
  const c = await world.side(C);
  a.damaged.add(B);
  for (const [side, to] of [[b, B] as const, [c, C] as const]) {
    must(await joinAs(side, await invite(to)));
    const { code = '' } = (await rowOf(a, to)) ?? {};
    must(await a.service.confirm(to, code, ADMIN));
    must(await side.service.confirm(A, code, ADMIN));
  }
  await eventually('the other peer at A', () => (a.attached.length === 1 ? true : undefined));
  await expect(a.tending.settle()).rejects.toThrow('HEAD_FILE_BROKEN');
  expect(a.attached).toEqual([C]);
  a.damaged.clear();
  await a.tending.settle();
  expect(a.attached).toEqual([C, B]);
}, 30_000);

it('a peer whose door answers with another protocol holds up nobody: what is to be settled with others is', async () => {
  const text = await invite();
  must(await joinAs(b, text));
  const { port } = new URL(must(readInvitation(text)).url);
  // Elsewhere: the old place is free.
  await a.openDoor();
  let asked = 0;
  const rude = createServer({ key: a.tls.keyPem, cert: a.tls.chainPem }, (socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => {
      asked += 1;
      socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: other\r\n\r\n');
    });
  }).listen(Number(port), '127.0.0.1');
  await once(rude, 'listening');
  b.tending.nudge();
  await eventually('the question at the door', () => (asked > 0 ? true : undefined));
  const late = AbortSignal.timeout(ANSWER_MS_MAX);
  const settled = Promise.race([b.tending.settle().then(() => 'settled'), once(late, 'abort').then(() => 'late')]);
  expect(await settled).toBe('settled');
  rude.close();
}, 30_000);

describe('the door', () => {
  it('takes nothing that is large, malformed, or too often; what a peer says is held to a form', async () => {
    const { url, issuer, id } = must(readInvitation(await invite()));
    const tls = introducingTlsOptions(b.tls, { domain: A, issuer });
    const before = await a.rows();
    const hello = { invitation: id, from: B, nonce: 'ab'.repeat(32), card: b.ports.ownCard() };
    const large = { ...hello, card: { ...hello.card, crls: ['A'.repeat(400_000)] } };
    const codes = async (path: string, body: object, answer: Parameters<typeof ask>[3]): Promise<string> => {
      const asked = await ask(tls, `${url}${path}`, body, answer);
      return asked.ok ? 'ok' : asked.text;
    };
    expect(await codes(HELLO_PATH, large, helloAnswer)).toContain('REQUEST_TOO_LARGE');
    expect(await codes(HELLO_PATH, { ...hello, more: 1 }, helloAnswer)).toContain('REQUEST_MALFORMED');
    expect(await codes(FINISH_PATH, { invitation: id, from: B, proof: 'x' }, finishAnswer)).toContain('REQUEST_MALFORMED');
    expect(await codes('/peering/v1/other', {}, newsAnswer)).toContain('ROUTE_UNKNOWN');
    const unknown = { from: B, transcript: 'ab'.repeat(32), confirmed: true, crls: [] };
    let said = '';
    for (let tries = 0; tries < 80 && !said.includes('PEERING_TOO_OFTEN'); tries += 1)
      said = await codes(NEWS_PATH, unknown, newsAnswer);
    expect(said).toContain('PEERING_TOO_OFTEN');
    expect(await a.rows()).toEqual(before);
  });
});
