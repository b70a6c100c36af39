import { EVENT_BYTES_MAX, PAYLOAD_TYPES } from '@carnet/events';
import { describe, expect, it } from 'vitest';
import { hello as helloSchema } from '../command/report.ts';
import { helloParts } from './hello-parts.ts';

const uuid = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
const helloOf = (count: number, missing: number) =>
  helloSchema.parse({
    kind: 'hello',
    domain: 'csp-a.example',
    host: 'hv1',
    time: '2026-11-29T00:00:00.000Z',
    agent: uuid(1),
    publicKey: 'A'.repeat(1_624),
    chain: ['A'.repeat(1_600), 'A'.repeat(1_600)],
    dataPath: { address: '127.0.0.1', port: 1, serverName: 'host-1' },
    capacity: { memoryMiBFree: 1, volumeBytesFree: 1, memoryMiBReserved: 0, volumeBytesReserved: 0 },
    libvirt: { connected: true, version: '11.0.0' },
    vms: Array.from({ length: count }, (_, n) => ({
      vm: `csp-a.example/${uuid(n)}`,
      state: 'running',
      fence: { epoch: 7, standing: 'mine', vcpus: 'may-run', role: 'source' },
    })),
    secretsMissing: Array.from({ length: missing }, (_, n) => ({
      vm: `csp-a.example/${uuid(n)}`,
      keys: Array.from({ length: 32 }, (_, k) => `01890000-0000-7000-8000-${String(k).padStart(12, '0')}`),
    })),
  });

describe('a hello in parts', () => {
  it('is one for a host with few VMs, or none', () => {
    for (const hello of [helloOf(0, 0), helloOf(20, 3)]) expect(helloParts(hello)).toEqual([hello]);
  });

  it('names every VM once, in order, and its lost secrets with it', () => {
    const hello = helloOf(2_000, 500);
    const parts = helloParts(hello);
    expect(parts.flatMap(({ vms }) => vms)).toEqual(hello.vms);
    expect(parts.flatMap(({ secretsMissing }) => secretsMissing)).toEqual(hello.secretsMissing);
    for (const { vms, secretsMissing } of parts)
      for (const { vm } of secretsMissing) expect(vms.some((one) => one.vm === vm)).toBe(true);
  });

  it('fits into an envelope in each part', () => {
    for (const part of helloParts(helloOf(2_000, 500))) {
      const envelope = JSON.stringify({
        payloadType: PAYLOAD_TYPES.report,
        payload: Buffer.from(JSON.stringify(part)).toString('base64'),
        signatures: [{ keyid: 'a'.repeat(64), sig: 'A'.repeat(512) }],
      });
      expect(envelope.length).toBeLessThan(EVENT_BYTES_MAX);
    }
  });
});
