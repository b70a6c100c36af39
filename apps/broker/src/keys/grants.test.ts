import { migrationId, trustDomain } from '@carnet/events';
import type { Role } from '@carnet/policy';
import { describe, expect, it } from 'vitest';
import { grantOf } from './grants.ts';

const domain = trustDomain.parse('csp-a.example');
const migration = migrationId.parse('01936ad4-0000-7000-8000-000000000001');
const withRoles = (...roles: readonly Role[]) => ({ domain, roleOf: () => roles });

describe('the grant of a key’s use', () => {
  it.each([
    ['operator', true],
    ['administrator', true],
    ['viewer', false],
    ['scheduler', false],
    ['auditor', false],
    ['key-custodian', false],
  ] as const)('a VM’s start by a principal that is %s: %s', (role, may) => {
    const right = { reason: 'VM_START', principal: 'eve' } as const;
    if (may) expect(grantOf(withRoles(role), right)).toEqual(right);
    else expect(() => grantOf(withRoles(role), right)).toThrow(expect.objectContaining({ code: 'KEY_USE_UNGRANTED' }));
  });

  it('nobody without any role', () => {
    for (const reason of ['VM_CREATE', 'VM_START', 'IMAGE_REGISTER', 'IMAGE_COPY'] as const)
      expect(() => grantOf(withRoles(), { reason, principal: 'eve' })).toThrow(
        expect.objectContaining({ code: 'KEY_USE_UNGRANTED' }),
      );
  });

  it('of a migration’s step is the service’s own, and names the migration', () => {
    expect(grantOf(withRoles(), { reason: 'MIGRATION', migration })).toEqual({
      principal: 'spiffe://csp-a.example/broker',
      reason: 'MIGRATION',
      migration,
    });
  });
});
