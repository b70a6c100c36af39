import { digest, type EventData, intentRequest, timestamp, trustDomain, vmSpec } from '@carnet/events';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalText, decideAsSource, decideAsTarget, matches, type Policy, policySet, rolesOf } from './index.ts';

const POLICY: Policy = {
  digest: digest.parse('d'.repeat(64)),
  set: policySet.parse({
    version: 1,
    grants: [
      { principal: 'spiffe://csp-a.example/operator/*', roles: ['operator'] },
      { principal: 'spiffe://csp-a.example/scheduler', roles: ['scheduler'] },
      { principal: 'spiffe://csp-a.example/**', roles: ['viewer'] },
    ],
    asSource: [
      {
        name: 'ours-to-b',
        vms: ['csp-a.example/*'],
        peers: ['csp-b.example'],
        modes: ['cold', 'suspend'],
        limits: { openPerPeer: 2 },
      },
      { name: 'guests-to-b', vms: ['csp-c.example/*'], peers: ['csp-b.example'], modes: ['cold'] },
    ],
    asTarget: [
      {
        name: 'small-of-b',
        peers: ['csp-b.example'],
        vms: ['csp-b.example/*'],
        modes: ['cold'],
        limits: { memoryMiB: 1_024, vcpus: 2, diskBytes: 1_000_000_000, openPerPeer: 3 },
      },
    ],
  }),
};

const uuid = '1b4e28ba-2fa1-41d2-883f-0016d3cca427';
const request = (change: object) =>
  intentRequest.parse({
    migration: '01970001-0000-7000-8000-000000000000',
    vm: `csp-a.example/${uuid}`,
    target: 'csp-b.example',
    mode: 'cold',
    ...change,
  });
const spec = (change: object = {}) =>
  vmSpec.parse({
    name: 'tiny',
    vcpus: 1,
    memoryMiB: 256,
    machine: 'pc-q35-7.2',
    cpuModel: 'qemu64',
    boot: { kind: 'disk' },
    disks: [disk(100_000_000)],
    ...change,
  });
const disk = (capacityBytes: number) => ({ artifact: uuid, target: 'vda', format: 'qcow2', capacityBytes, key: uuid });

describe('as source', () => {
  test.each([
    ['an operator', '/operator/eve', {}, 0, 'ALLOWED'],
    ['an operator, suspend', '/operator/eve', { mode: 'suspend' }, 0, 'ALLOWED'],
    ['the scheduler, a VM of another home', '/scheduler', { vm: `csp-c.example/${uuid}` }, 0, 'ALLOWED'],
    [
      'a mode that the other rule alone allows',
      '/scheduler',
      { vm: `csp-c.example/${uuid}`, mode: 'suspend' },
      0,
      'MODE_NOT_ALLOWED',
    ],
    ['a VM that no rule covers', '/scheduler', { vm: `csp-d.example/${uuid}` }, 0, 'VM_NOT_ALLOWED'],
    ['another peer', '/scheduler', { target: 'csp-c.example' }, 0, 'PEER_NOT_ALLOWED'],
    ['a viewer', '/viewer', {}, 0, 'ROLE_NEEDED'],
    ['one below the pattern', '/operator/eve/laptop', {}, 0, 'ROLE_NEEDED'],
    ['someone of the peer', '.evil.example/operator/eve', {}, 0, 'ROLE_NEEDED'],
    ['one below the limit', '/scheduler', {}, 1, 'ALLOWED'],
    ['at the limit', '/scheduler', {}, 2, 'OPEN_LIMIT'],
  ] as const)('%s', (_, path, change, open, code) => {
    const asked = { request: request(change), principal: `spiffe://csp-a.example${path}`, spec: spec(), open };
    const decided = decideAsSource(POLICY, asked);
    expect(decided).toMatchObject({ allowed: code === 'ALLOWED', policySet: POLICY.digest, reasons: [{ code }] });
  });
});

describe('as target', () => {
  test.each([
    ['a small VM', {}, 0, 'ALLOWED'],
    ['suspend', { mode: 'suspend' }, 0, 'MODE_NOT_ALLOWED'],
    ['an unknown peer', { source: trustDomain.parse('csp-c.example') }, 0, 'PEER_NOT_ALLOWED'],
    ['a VM of another home', { vm: request({}).vm }, 0, 'VM_NOT_ALLOWED'],
    ['at the limits', { spec: spec({ memoryMiB: 1_024, vcpus: 2, disks: [disk(1_000_000_000)] }) }, 2, 'ALLOWED'],
    ['too much memory', { spec: spec({ memoryMiB: 1_025 }) }, 0, 'MEMORY_LIMIT'],
    ['too many processors', { spec: spec({ vcpus: 3 }) }, 0, 'VCPU_LIMIT'],
    [
      'disks too large together',
      { spec: spec({ disks: [disk(600_000_000), { ...disk(600_000_000), target: 'vdb' }] }) },
      0,
      'DISK_LIMIT',
    ],
    ['a full house', {}, 3, 'OPEN_LIMIT'],
  ] as const)('%s', (_, change, open, code) => {
    const decided = decideAsTarget(POLICY, { intent: { ...intent, ...change }, open });
    expect(decided).toMatchObject({ allowed: code === 'ALLOWED', policySet: POLICY.digest, reasons: [{ code }] });
  });
});

const { vm, target, mode } = request({ vm: `csp-b.example/${uuid}`, target: 'csp-a.example' });
const intent: EventData<'MigrationIntended'> = {
  vm,
  target,
  mode,
  source: trustDomain.parse('csp-b.example'),
  spec: spec(),
  request: { via: 'mtls', principal: 'x', digest: POLICY.digest },
  policy: { allowed: true, policySet: POLICY.digest, reasons: [] },
  offerBy: timestamp.parse('2026-11-23T10:00:00.000Z'),
  deadline: timestamp.parse('2026-11-23T11:00:00.000Z'),
};

test('an empty set denies everything', () => {
  const empty: Policy = { ...POLICY, set: policySet.parse({ version: 1, grants: [], asSource: [], asTarget: [] }) };
  const asked = { request: request({}), principal: 'spiffe://csp-a.example/operator/eve', spec: spec(), open: 0 };
  expect(decideAsSource(empty, asked).allowed).toBe(false);
  expect(decideAsTarget(empty, { intent, open: 0 }).allowed).toBe(false);
});

test('a principal holds all roles of all its grants, once', () => {
  expect(rolesOf(POLICY.set, 'spiffe://csp-a.example/operator/eve')).toEqual(['operator', 'viewer']);
  expect(rolesOf(POLICY.set, 'spiffe://csp-b.example/operator/eve')).toEqual([]);
});

test('a set has one spelling, whatever the order of its keys', () => {
  const { version, ...rest } = POLICY.set;
  expect(canonicalText({ ...rest, version })).toBe(canonicalText(POLICY.set));
  expect(canonicalText({ ...POLICY.set, version: 2 })).not.toBe(canonicalText(POLICY.set));
});

test('patterns mean what a regular expression of the same meaning does', () => {
  const value = fc.string({ unit: fc.constantFrom('a', 'b', '/', '.'), maxLength: 8 });
  const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '/', '.', '*', '**'), maxLength: 8 });
  fc.assert(
    fc.property(pattern, value, (p, v) => {
      const source = p.replaceAll('.', '\\.').replaceAll(/\*\*?/g, (star) => (star === '**' ? '.*' : '[^/]*'));
      expect(matches(p, v)).toBe(new RegExp(`^${source}$`).test(v));
    }),
    { numRuns: 3_000 },
  );
});

test('a pattern of many stars is answered at once', () => {
  expect(matches('**a'.repeat(130), `${'a'.repeat(129)}b`.repeat(3))).toBe(false);
});
