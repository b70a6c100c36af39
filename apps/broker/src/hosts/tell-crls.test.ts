import { hostName, PAYLOAD_TYPES } from '@carnet/events';
import { openEnvelope } from '@carnet/trust';
import { beforeAll, expect, it } from 'vitest';
import { A, type Certified, certified } from '../perform/testing/certified.ts';
import { CRL_TOLD_BYTES_MAX, crlTeller } from './tell-crls.ts';

let pki: Certified;
beforeAll(async () => {
  pki = await certified();
}, 120_000);

it('tells a host every list as it lies here, under the broker’s signature; signed once while nothing changes', () => {
  const { signer } = pki.leafOf(A, 'broker');
  let signatures = 0;
  const counting = {
    keyid: signer.keyid,
    sign: (bytes: Uint8Array) => {
      signatures += 1;
      return signer.sign(bytes);
    },
  };
  const told: (readonly [string, Uint8Array])[] = [];
  const said: object[] = [];
  const bus = { publish: (subject: string, bytes?: unknown) => void told.push([subject, bytes as Uint8Array]) };
  const log = {
    debug: () => undefined,
    info: () => undefined,
    warn: (fields: object) => void said.push(fields),
    error: () => undefined,
  };
  let trust = pki.trust;
  const teller = crlTeller(bus as never, () => trust, counting, log as never);
  teller.tell(hostName.parse('host-1'));
  teller.tell(hostName.parse('host-2'));
  expect(signatures).toBe(trust.crls.length);
  expect(told).toHaveLength(2 * trust.crls.length);
  const [[subject, bytes] = ['', new Uint8Array()]] = told;
  expect(subject).toBe('host.host-1.crl');
  const opened = openEnvelope(bytes, PAYLOAD_TYPES.crl, () => ({ verify: () => true }));
  expect(opened.ok && Buffer.from(opened.value.payload).equals(Buffer.from(trust.crls[0] ?? []))).toBe(true);
  trust = { ...trust, crls: [new Uint8Array(CRL_TOLD_BYTES_MAX + 1), ...trust.crls] };
  told.length = 0;
  teller.tell(hostName.parse('host-1'));
  expect(told).toHaveLength(trust.crls.length - 1);
  expect(said).toEqual([{ code: 'CRL_TOO_LARGE', lists: 1 }]);
});

it('the largest list that is told fits an envelope', () => {
  const { signer } = pki.leafOf(A, 'broker');
  const told: Uint8Array[] = [];
  const bus = { publish: (_: string, bytes?: unknown) => void told.push(bytes as Uint8Array) };
  const trust = { roots: [], crls: [new Uint8Array(CRL_TOLD_BYTES_MAX)] };
  crlTeller(bus as never, () => trust, signer, {} as never).tell(hostName.parse('host-1'));
  expect(openEnvelope(told[0] ?? new Uint8Array(), PAYLOAD_TYPES.crl, () => ({ verify: () => true })).ok).toBe(true);
});
