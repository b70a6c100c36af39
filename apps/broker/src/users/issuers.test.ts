import { generateKeyPairSync } from 'node:crypto';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeJwt, decodeProtectedHeader, SignJWT } from 'jose';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { documentsVouchedBy } from './issuer-answers.ts';
import { type Issuers, issuerConfig, openIssuers } from './issuers.ts';
import { ISSUER_REST_MS } from './limits.ts';
import { type IdentityProvider, OTHER_PROTOCOL, startIdentityProvider } from './testing/identity-provider.ts';

const AUDIENCE = 'https://broker.csp-a.example';
const log = pino({ level: 'silent' });
let provider: IdentityProvider;
let issuers: Issuers;

beforeAll(async () => {
  provider = await startIdentityProvider(['nightly', '..']);
  issuers = openIssuers([{ issuer: provider.issuer, audience: AUDIENCE, caFile: provider.caFile }], log);
}, 60_000);
afterAll(() => provider.close());
afterEach(() => vi.useRealTimers());

describe('a token of an identity provider', () => {
  it('is good for its subject at that issuer', async () => {
    const token = await provider.tokenFor('nightly', AUDIENCE);
    expect(await issuers.authenticate(token)).toEqual({
      principal: `${provider.issuer}/nightly`,
      via: 'token',
      credential: { kind: 'token', endsAt: new Date((decodeJwt(token).exp ?? 0) * 1_000).toISOString() },
    });
  });

  it('costs no question to the provider when its keys are known, forged or not', async () => {
    const token = await provider.tokenFor('nightly', AUDIENCE);
    await issuers.authenticate(token);
    const before = provider.keySetsAsked();
    for (let i = 0; i < 20; i++) await issuers.authenticate(token);
    const [header = '', , signature = ''] = token.split('.');
    const payload = Buffer.from(JSON.stringify({ ...decodeJwt(token), sub: 'root' })).toString('base64url');
    for (let i = 0; i < 20; i++)
      expect(await issuers.authenticate(`${header}.${payload}.${signature}`)).toMatchObject({ code: 'TOKEN_REFUSED' });
    expect(provider.keySetsAsked()).toBe(before);
  });
});

it('a provider that answers with another protocol is not waited for', async () => {
  const asked = documentsVouchedBy(provider.caFile)(`${provider.issuer}${OTHER_PROTOCOL}`);
  await expect(asked).rejects.toThrow('another protocol');
});

describe('is refused', () => {
  const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const forged = (claims: object = {}, header: object = {}) =>
    new SignJWT({ sub: 'nightly', ...claims })
      .setProtectedHeader({ alg: 'ES256', kid: 'one', ...header })
      .setIssuer(provider.issuer)
      .setAudience(AUDIENCE)
      .setExpirationTime('5m')
      .sign(stranger.privateKey);

  it('for another audience, after its time, with a subject that could be a path', async () => {
    expect(await issuers.authenticate(await provider.tokenFor('nightly', 'https://other.example'))).toMatchObject({
      code: 'TOKEN_AUDIENCE',
    });
    expect(await issuers.authenticate(await provider.tokenFor('..', AUDIENCE))).toMatchObject({ code: 'TOKEN_REFUSED' });
    const token = await provider.tokenFor('nightly', AUDIENCE);
    await issuers.authenticate(token);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 700_000 });
    expect(await issuers.authenticate(token)).toMatchObject({ code: 'TOKEN_EXPIRED' });
  });

  it('signed by somebody else, under a known and under an unknown key id', async () => {
    expect(await issuers.authenticate(await forged())).toMatchObject({ code: 'TOKEN_REFUSED' });
    expect(await issuers.authenticate(await forged({}, { kid: 'two' }))).toMatchObject({ code: 'TOKEN_REFUSED' });
  });

  it('of an issuer that is not configured, or none at all', async () => {
    const foreign = await new SignJWT({ sub: 'nightly' })
      .setProtectedHeader({ alg: 'ES256' })
      .setIssuer('https://elsewhere.example')
      .sign(stranger.privateKey);
    for (const token of [foreign, 'x'.repeat(40), 'a.b.c']) {
      expect(await issuers.authenticate(token)).toMatchObject({ code: 'ISSUER_UNKNOWN' });
    }
  });

  it('unsigned, or signed with a secret that is public: the algorithm is ours to choose', async () => {
    const token = await provider.tokenFor('nightly', AUDIENCE);
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    expect(await issuers.authenticate(`${part({ alg: 'none' })}.${part(decodeJwt(token))}.`)).toMatchObject({
      code: 'TOKEN_REFUSED',
    });
    const hmac = await new SignJWT(decodeJwt(token))
      .setProtectedHeader({ ...decodeProtectedHeader(token), alg: 'HS256' })
      .sign(Buffer.from(stranger.publicKey.export({ type: 'spki', format: 'pem' })));
    expect(await issuers.authenticate(hmac)).toMatchObject({ code: 'TOKEN_REFUSED' });
  });
});

describe('a provider that', () => {
  it('is vouched for by nobody we trust is not believed, and not asked at every request', async () => {
    const warned = vi.fn<typeof log.warn>();
    const untrusting = openIssuers([{ issuer: provider.issuer, audience: AUDIENCE }], { ...log, warn: warned });
    const token = await provider.tokenFor('nightly', AUDIENCE);
    for (let i = 0; i < 3; i++) expect(await untrusting.authenticate(token)).toMatchObject({ code: 'ISSUER_UNREACHABLE' });
    expect(warned).toHaveBeenCalledTimes(1);
  });

  it('was away is asked again after a rest', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'carnet-oidc-away-'));
    const caFile = join(dir, 'ca.pem');
    const patient = openIssuers([{ issuer: provider.issuer, audience: AUDIENCE, caFile }], log);
    const token = await provider.tokenFor('nightly', AUDIENCE);
    vi.useFakeTimers({ toFake: ['setTimeout'] });
    expect(await patient.authenticate(token)).toMatchObject({ code: 'ISSUER_UNREACHABLE' });
    copyFileSync(provider.caFile, caFile);
    expect(await patient.authenticate(token)).toMatchObject({ code: 'ISSUER_UNREACHABLE' });
    vi.advanceTimersByTime(ISSUER_REST_MS);
    vi.useRealTimers();
    expect(await patient.authenticate(token)).toMatchObject({ principal: `${provider.issuer}/nightly` });
    rmSync(dir, { recursive: true });
  });
});

it.each([
  { issuer: 'http://id.example', audience: 'x' },
  { issuer: 'https://id.example', audience: '' },
  { issuer: 'https://id.example', audience: 'x', algorithms: ['HS256'] },
])('configuration refused: %j', (config) => {
  expect(issuerConfig.safeParse(config).success).toBe(false);
});
