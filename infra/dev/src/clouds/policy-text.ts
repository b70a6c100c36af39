import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CSP_A, CSP_B, type CspPlan, HOST } from './layout.ts';

/** The rules of both clouds. */
const rulesText = (): string => readFileSync(join(import.meta.dirname, '../../policies/moves.cedar'), 'utf8');

const uid = (type: string, id: string) => ({ type, id });
const entity = (type: string, id: string, attrs: object, parents: readonly object[] = []): object => ({
  uid: uid(type, id),
  attrs,
  parents,
});

/** Where each cloud answers to courts, and how high its hosts are. */
const PLACES = {
  [CSP_A.domain]: { jurisdictions: ['DE', 'EU'], level: 1 },
  [CSP_B.domain]: { jurisdictions: ['EU', 'FR'], level: 1 },
} as const;

/** Who is who, as this cloud sees it. Its people work in the projects of both: a VM keeps the project of its home. */
export function entitiesText({ domain }: CspPlan): string {
  const projects = Object.keys(PLACES).map((home) => uid('Project', `${home}/default`));
  const user = (name: string, parents: readonly object[]): object =>
    entity('User', `spiffe://${domain}/${name}`, {}, [uid('Role', name), ...parents]);
  const entities = [
    // API keys are made with roles of their own (`carnet apikey`); this is the most that any of them may have.
    entity('User', 'api-key/*', {}, [uid('Role', 'scheduler'), uid('Role', 'viewer'), ...projects]),
    // Nobody else is there to keep keys.
    user('operator', [uid('Role', 'key-custodian'), ...projects]),
    user('scheduler', projects),
    user('auditor', []),
    ...Object.entries(PLACES).map(([csp, place]) => entity('Csp', csp, place)),
    entity('Host', HOST, { level: PLACES[domain]?.level ?? 0 }),
  ];
  return `${JSON.stringify(entities, undefined, 1)}\n`;
}

/** The whole set: file names and what stands in them. */
export const policyFiles = (plan: CspPlan): Readonly<Record<string, string>> => ({
  'set.json': `${JSON.stringify({ version: 1, about: 'the demonstration' })}\n`,
  'entities.json': entitiesText(plan),
  'moves.cedar': rulesText(),
});
