import {
  type EventData,
  type MigrationMode,
  type PolicyQuestion,
  timestamp,
  trustDomain,
  type VmRestrictions,
  vmId,
  vmSpec,
} from '@carnet/events';
import { type Move, openPolicySet, type PolicyFiles, type PolicySet, questionAbout } from '../index.ts';
import { crypto } from './owners.ts';

/** Sets and questions for tests of whoever decides. */
export const { hash } = crypto;
export const A = trustDomain.parse('csp-a.example');
export const B = trustDomain.parse('csp-b.example');
export const C = trustDomain.parse('csp-c.example');
const UUID = '1b4e28ba-2fa1-41d2-883f-0016d3cca427';
export const VM = vmId.parse(`${A}/${UUID}`);
export const MONDAY = timestamp.parse('2026-11-23T10:00:00.000Z');

const uid = (type: string, id: string) => ({ type, id });
export const user = (name: string, roles: readonly string[], projects = [`${A}/default`]) => ({
  uid: uid('User', name),
  parents: [...roles.map((one) => uid('Role', one)), ...projects.map((one) => uid('Project', one))],
});
export const csp = (name: string, jurisdictions: readonly string[], level: number) => ({
  uid: uid('Csp', name),
  attrs: { jurisdictions, level },
});

export const OPERATOR = `spiffe://${A}/operator`;
export const SECOND = `spiffe://${A}/second`;
export const SCHEDULER = `spiffe://${A}/scheduler`;
export const ENTITIES: readonly object[] = [
  user(OPERATOR, ['operator']),
  user(SECOND, ['operator']),
  user(SCHEDULER, ['scheduler']),
  user(`spiffe://${A}/viewer`, ['viewer']),
  user(`spiffe://${A}/stranger`, ['operator'], [`${A}/other`]),
  csp(A, ['DE', 'EU'], 3),
  csp(B, ['EU', 'FR'], 1),
  csp(C, ['US'], 3),
  { uid: uid('Host', 'host-1'), attrs: { level: 2 } },
];

export const filesOf = (
  rules: string,
  { version = 1, entities = ENTITIES }: { readonly version?: number; readonly entities?: readonly object[] } = {},
): PolicyFiles =>
  new Map([
    ['set.json', JSON.stringify({ version })],
    ['entities.json', JSON.stringify(entities)],
    ['rules.cedar', rules],
  ]);

export function setOf(rules: string, options: Parameters<typeof filesOf>[1] = {}): PolicySet {
  const opened = openPolicySet(filesOf(rules, options), crypto);
  if (!opened.ok) throw new Error(`${opened.code}: ${opened.text}`);
  return opened.value;
}

export const specWith = (change: object = {}, restrictions: Partial<VmRestrictions> = {}) =>
  vmSpec.parse({
    name: 'tiny',
    vcpus: 1,
    memoryMiB: 256,
    machine: 'pc-q35-7.2',
    cpuModel: 'qemu64',
    boot: { kind: 'disk' },
    disks: [{ artifact: UUID, target: 'vda', format: 'qcow2', capacityBytes: 100_000_000, key: UUID }],
    ...change,
    ...(Object.keys(restrictions).length === 0
      ? {}
      : { restrictions: { project: 'default', labels: [], level: 0, onward: true, legalHold: false, ...restrictions } }),
  });

const vouched = (principal: string): EventData<'MigrationIntended'>['request'] => ({
  via: 'mtls',
  principal,
  digest: hash('request'),
});

export const intentOf = (
  change: Partial<Omit<Move, 'request' | 'approvals'>> & {
    readonly asker?: string;
    readonly approvers?: readonly string[];
  } = {},
): Move => {
  const { asker = OPERATOR, approvers = [], ...rest } = change;
  return {
    vm: VM,
    source: A,
    target: B,
    mode: 'cold' satisfies MigrationMode,
    spec: specWith(),
    request: vouched(asker),
    deadline: timestamp.parse('2026-11-23T11:00:00.000Z'),
    epoch: 1,
    ...(approvers.length === 0 ? {} : { approvals: approvers.map(vouched) }),
    ...rest,
  };
};

const OPEN = { migrations: 0, memoryMiB: 0, diskBytes: 0 };
export const sending = (intent: Move, facts: Partial<PolicyQuestion> = {}): PolicyQuestion =>
  questionAbout(intent, { action: 'send', time: MONDAY, open: OPEN, ...facts });
export const receiving = (intent: Move, facts: Partial<PolicyQuestion> = {}): PolicyQuestion =>
  questionAbout(intent, { action: 'receive', time: MONDAY, open: OPEN, hostLevel: 2, ...facts });
