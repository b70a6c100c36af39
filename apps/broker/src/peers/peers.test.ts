import { dataPath, type EventData, hostName, type IntentRequest, intentRequest, type RequestRecord } from '@carnet/events';
import { validatePath } from '@carnet/pki';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { A, B, type Certified, certified, HOST, NOW } from '../perform/testing/certified.ts';
import { contentDigest, contentDigestOf } from '../service/request-content.ts';
import { agentFault } from './agents.ts';
import { dataPathFault, network } from './data-paths.ts';
import { openPeerTrust } from './peer-trust.ts';
import { requestFault } from './requests.ts';

let pki: Certified;
beforeAll(async () => {
  pki = await certified();
}, 120_000);

describe('an agent that a peer pins', () => {
  it('is that peer’s agent of that host', () => {
    expect(agentFault(pki.trust, NOW, A, pki.agent(A))).toBeUndefined();
  });

  it.each([
    ['a third CSP’s agent', () => pki.agent(B)],
    ['another host of the peer', () => ({ host: HOST, chain: pki.agent(A, hostName.parse('host-2')).chain })],
    ['the peer’s broker', () => ({ host: HOST, chain: pki.leafOf(A, 'broker').chain })],
    ['a leaf without its authority', () => ({ host: HOST, chain: pki.agent(A).chain.slice(0, 1) })],
    ['no certificate', () => ({ host: HOST, chain: ['AA=='] })],
  ])('is not %s', (_, agent) => {
    expect(agentFault(pki.trust, NOW, A, agent())).toMatchObject({ code: 'AGENT_UNTRUSTED' });
  });
});

describe('a release to a peer', () => {
  const good = { ok: true, value: { spkiVerifier: { verify: () => true } } } as const;
  const faultOf = async (standing: object | undefined, trust = pki.trust, agent = pki.agent(A)): Promise<string | undefined> => {
    const ground = {
      config: { peers: [] },
      journal: { self: B, standing: async () => standing },
      trust: () => trust,
      now: () => NOW,
    };
    return (
      await openPeerTrust(ground as unknown as Parameters<typeof openPeerTrust>[0], {
        fault: async () => undefined,
      }).releaseFault(A, agent)
    )?.code;
  };

  it('waits for nothing when its broker and its pinned agent are good now', async () => {
    expect(await faultOf(good)).toBeUndefined();
  });

  it('stops, each time with the code that says why, while that is not known', async () => {
    expect(await faultOf(undefined)).toBe('PEER_UNANNOUNCED');
    expect(await faultOf({ ok: false, code: 'CRL_STALE', text: 'stale' })).toBe('CRL_STALE');
    expect(await faultOf({ ok: false, code: 'REVOKED', text: 'revoked' })).toBe('REVOKED');
    expect(await faultOf(good, { ...pki.trust, crls: [] })).toBe('CRL_MISSING');
    expect(await faultOf(good, pki.trust, pki.agent(B))).toBe('DOMAIN_MISMATCH');
  });
});

describe('an address that a peer has our hosts dial', () => {
  const at = (address: string) => dataPath.parse({ address, port: 22, serverName: 'host-1.csp-a.example' });

  it.each([
    '127.0.0.1',
    '10.1.2.3',
    '192.168.1.1',
    '169.254.169.254',
    '172.16.0.1',
    '0.0.0.0',
    '100.64.0.1',
    '224.0.0.1',
    '255.255.255.255',
    '::1',
    '::',
    'fe80::1',
    'fd00::1',
    '::ffff:127.0.0.1',
    '64:ff9b::7f00:1',
  ])('%s is refused unless it was agreed', (address) => {
    expect(dataPathFault(at(address), [])).toMatchObject({ code: 'DATA_PATH_REFUSED' });
  });

  it.each([
    'localhost',
    'metadata.internal',
    'host-1.csp-a.example',
    '0x7f000001',
    '2130706433',
    '127.1',
    '0177.0.0.1',
  ])('%s is a name, and names lead anywhere', (address) => {
    expect(dataPathFault(at(address), ['0.0.0.0/0', '::/0'])).toMatchObject({ code: 'DATA_PATH_REFUSED' });
  });

  it('a public address is fine, and only the agreed networks where some were agreed', () => {
    expect([dataPathFault(at('203.0.113.7'), []), dataPathFault(at('2001:db8::7'), [])]).toEqual([undefined, undefined]);
    expect(dataPathFault(at('127.0.0.1'), ['127.0.0.0/8'])).toBeUndefined();
    expect(dataPathFault(at('203.0.113.7'), ['127.0.0.0/8'])).toMatchObject({ code: 'DATA_PATH_REFUSED' });
  });

  it('whatever the schema lets through gets a verdict', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[A-Za-z0-9.:-]+$/), (address) => {
        const fault = dataPathFault(at(address.slice(0, 253)), []);
        expect(fault?.code ?? 'DATA_PATH_REFUSED').toBe('DATA_PATH_REFUSED');
      }),
    );
  });

  it.each(['10.0.0.0', '10.0.0.0/33', '::/129', 'x/8', '10.0.0.0/8/8', '10.0.0.0/-1', ''])('%s is no network', (text) => {
    expect(network.safeParse(text).success).toBe(false);
  });
});

describe('the request inside a peer’s intent', () => {
  const asked = intentRequest.parse({
    migration: '01970001-0000-7000-8000-000000000000',
    vm: 'csp-a.example/1b4e28ba-2fa1-41d2-883f-0016d3cca427',
    target: B,
    mode: 'cold',
    notAfter: '2999-01-01T00:00:00.000Z',
  });
  const identify = async (domain: typeof A, leaf: string) => {
    const path = validatePath({
      ...pki.trust,
      chain: [leaf, ...pki.leafOf(domain, 'broker').chain.slice(1)],
      at: NOW,
      trustDomain: domain,
    });
    return path.ok ? path.value : undefined;
  };
  const intentOf = (request: RequestRecord, changed: Partial<IntentRequest> = {}): EventData<'MigrationIntended'> =>
    ({ ...asked, ...changed, source: A, offerBy: NOW, request }) as unknown as EventData<'MigrationIntended'>;
  const signed = (name = 'scheduler', domain = A, said: object = asked): RequestRecord => {
    const { id, chain } = pki.leafOf(domain, name);
    return { via: 'signature', principal: id, envelope: pki.signRequest(domain, name, said), certificate: chain[0] ?? '' };
  };
  const faultOf = async (intent: EventData<'MigrationIntended'>) => (await requestFault(identify, asked.migration, intent))?.code;

  it('is judged under each authority with which its CSP has introduced itself: persons have leaves of the one before, too', async () => {
    const above = (domain: typeof A): readonly string[] => ['leaf', ...pki.leafOf(domain, 'broker').chain.slice(1)];
    const codeUnder = async (...introductions: readonly (readonly string[])[]): Promise<string | undefined> => {
      const ground = {
        config: { peers: [] },
        journal: { introductions: async () => introductions },
        trust: () => pki.trust,
        now: () => NOW,
      };
      const trust = openPeerTrust(ground as unknown as Parameters<typeof openPeerTrust>[0], { fault: async () => undefined });
      return (await trust.requestFault(asked.migration, intentOf(signed())))?.code;
    };
    expect(await codeUnder(above(A))).toBeUndefined();
    expect(await codeUnder(above(B), above(A))).toBeUndefined();
    expect(await codeUnder(above(B))).toBe('REQUEST_REFUSED');
    expect(await codeUnder()).toBe('REQUEST_REFUSED');
  });

  it('is taken when its asker signed it, also when its CSP asks for more re-keying than the asker', async () => {
    expect(await faultOf(intentOf(signed()))).toBeUndefined();
    expect(await faultOf(intentOf(signed(), { rekey: 'full' }))).toBeUndefined();
  });

  it.each<readonly [string, () => EventData<'MigrationIntended'>]>([
    ['signed by another CSP’s scheduler', () => intentOf(signed('scheduler', B))],
    ['under another’s name', () => intentOf({ ...signed(), principal: pki.leafOf(A, 'operator').id })],
    [
      'with another’s certificate',
      () =>
        intentOf({
          ...signed(),
          certificate: pki.leafOf(A, 'operator').chain[0] ?? '',
          principal: pki.leafOf(A, 'operator').id,
        } as RequestRecord),
    ],
    ['for another VM', () => intentOf(signed(), { vm: asked.vm.replace('1b4e', '2b4e') as IntentRequest['vm'] })],
    ['with less re-keying', () => intentOf(signed('scheduler', A, { ...asked, rekey: 'full' }), { rekey: 'slot' })],
    ['in another mode', () => intentOf(signed(), { mode: 'suspend' })],
    [
      'for another migration',
      () => intentOf(signed('scheduler', A, { ...asked, migration: '01970002-0000-7000-8000-000000000000' })),
    ],
    ['that is over', () => intentOf(signed('scheduler', A, { ...asked, notAfter: '2000-01-01T00:00:00.000Z' }))],
    ['of nonsense', () => intentOf(signed('scheduler', A, { nonsense: 1 }))],
    [
      'vouched for in another CSP’s name',
      () => intentOf({ via: 'mtls', principal: `spiffe://${B}/operator`, digest: '0'.repeat(64) } as RequestRecord),
    ],
    [
      'vouched for in a longer name',
      () => intentOf({ via: 'mtls', principal: `spiffe://${A}.evil.example/operator`, digest: '0'.repeat(64) } as RequestRecord),
    ],
  ])('is refused %s', async (_, intent) => {
    expect(await faultOf(intent())).toBe('REQUEST_REFUSED');
  });

  const approved = (name = 'operator', domain = A, request: unknown = contentDigestOf(signed())): RequestRecord => {
    const { id, chain } = pki.leafOf(domain, name);
    const envelope = pki.signApproval(domain, name, { approves: 'migration', request });
    return { via: 'signature', principal: id, envelope, certificate: chain[0] ?? '' };
  };
  const withApprovals = (...approvals: readonly RequestRecord[]) => ({ ...intentOf(signed()), approvals });

  it('may carry a second person’s approval', async () => {
    expect(await faultOf(withApprovals(approved()))).toBeUndefined();
    const vouched: RequestRecord = { via: 'token', principal: 'somebody', digest: contentDigest(asked) };
    expect(await faultOf(withApprovals(approved(), vouched))).toBeUndefined();
  });

  it.each<readonly [string, () => RequestRecord]>([
    ['of who asked', () => approved('scheduler')],
    [
      'of who asked, under another name',
      () => ({ via: 'mtls', principal: `spiffe://${A}/duty/scheduler`, digest: contentDigest(asked) }),
    ],
    ['of an API key', () => ({ via: 'token', principal: 'api-key/nightly', digest: contentDigest(asked) })],
    ['of another CSP’s operator', () => approved('operator', B)],
    ['in another’s name', () => ({ ...approved(), principal: pki.leafOf(A, 'auditor').id })],
    ['of another request', () => approved('operator', A, contentDigest({ ...asked, mode: 'suspend' }))],
    ['that is a signed request', () => signed('operator')],
    [
      'vouched for in another CSP’s name',
      () => ({ via: 'mtls', principal: `spiffe://${B}/operator`, digest: contentDigest(asked) }),
    ],
    [
      'vouched for with other content',
      () => ({ via: 'token', principal: 'x', digest: contentDigest({ ...asked, mode: 'suspend' }) }),
    ],
  ])('is refused with an approval %s', async (_, approval) => {
    expect(await faultOf(withApprovals(approval()))).toBe('REQUEST_REFUSED');
  });
});
