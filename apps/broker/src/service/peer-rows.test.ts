import { trustDomain } from '@carnet/events';
import { expect, it } from 'vitest';
import type { PeeringRow } from '../peering/service.ts';
import { withOrigins } from './peer-rows.ts';

const held = (domain: string) => ({ domain, state: 'ready' as const, ownSeq: 1, acknowledgedSeq: 1, receivedSeq: 1 });
const invited = (domain: string, state: PeeringRow['state']): PeeringRow => ({
  domain,
  state,
  code: '',
  issuer: `issuer of ${domain}`,
  ownIssuer: '',
  eventKey: '',
  side: 'joined',
  dataPaths: [],
  startedBy: '',
  startedAt: '',
});

it('says of each peer where it comes from: the configuration’s word wins, and who has no ledgers yet is not ready', () => {
  const rows = withOrigins(
    [held('a.example'), held('b.example'), held('c.example'), held('d.example')],
    [trustDomain.parse('a.example')],
    [
      invited('a.example', 'trusted'),
      invited('b.example', 'trusted'),
      invited('d.example', 'confirmed-here'),
      invited('e.example', 'unconfirmed'),
    ],
  );
  expect(rows.map(({ domain, origin, state, issuer }) => [domain, origin, state, issuer])).toEqual([
    ['a.example', 'configuration', 'ready', undefined],
    ['b.example', 'invitation', 'ready', 'issuer of b.example'],
    ['c.example', 'former', 'ready', undefined],
    ['d.example', 'invitation', 'unconfirmed', 'issuer of d.example'],
    ['e.example', 'invitation', 'unconfirmed', 'issuer of e.example'],
  ]);
});
