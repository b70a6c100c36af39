import { trustDomain, UNRESTRICTED, vmId } from '@carnet/events';
import { describe, expect, it } from 'vitest';
import { tenantOf } from './projects.ts';

const A = trustDomain.parse('csp-a.example');
const B = trustDomain.parse('csp-b.example');
const VM = vmId.parse(`${A}/1b4e28ba-2fa1-41d2-883f-0016d3cca427`);
const billing = { restrictions: { ...UNRESTRICTED, project: 'billing' } };

describe('whose key it is', () => {
  it.each([
    ['at home', A, billing, 'billing'],
    ['at home, of no project', A, {}, 'default'],
    ['elsewhere: never the project of that name there', B, billing, 'csp-a.example/billing'],
    ['elsewhere, of no project', B, {}, 'csp-a.example/default'],
  ] as const)('%s', (_, self, spec, expected) => {
    expect(tenantOf(self, VM, spec)).toBe(expected);
  });
});
