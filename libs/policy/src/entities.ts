import { isPerson, personOf } from '@carnet/events';
import { z } from 'zod';
import type { Entity } from './engine.ts';
import { ENTITIES_MAX } from './limits.ts';
import { ASKING, RECOVERING, type Role, role } from './roles.ts';

const uid = z
  .strictObject({
    type: z.enum(['Role', 'Tenant', 'Project', 'User', 'Csp', 'Host']),
    id: z.string().min(1).max(400),
  })
  .readonly();

/** Cedar's own JSON form of entities; VMs come with the request. The schema says which attributes and parents each may have. */
export const entitiesFile = z
  .array(
    z
      .strictObject({
        uid: uid.refine(({ type }) => type !== 'Role', 'roles are fixed'),
        attrs: z.record(z.string(), z.union([z.int(), z.array(z.string()).max(64)])).default({}),
        parents: z.array(uid).max(1_000).readonly().default([]),
      })
      .readonly(),
  )
  .max(ENTITIES_MAX)
  .readonly();

const nameOf = ({ uid: { type, id } }: Pick<Entity, 'uid'>): string => `${type} ${id}`;

/** In one order, whatever order the file had; `undefined` if one stands there twice. */
export function sortedEntities(entities: z.infer<typeof entitiesFile>): readonly Entity[] | undefined {
  const sorted = entities
    .map((one) => ({ ...one, parents: one.parents.toSorted((a, b) => (`${a.type} ${a.id}` < `${b.type} ${b.id}` ? -1 : 1)) }))
    .toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
  return new Set(sorted.map(nameOf)).size === sorted.length ? sorted : undefined;
}

const find = (entities: readonly Entity[], type: string, id: string): Entity | undefined =>
  entities.find(({ uid }) => uid.type === type && uid.id === id);

/** A principal as a set knows it: by its name, or else by the longest `<beginning>/*` that covers it, where `*` is one segment. */
function userIn(entities: readonly Entity[], principal: string): Entity | undefined {
  const exact = find(entities, 'User', principal);
  const slash = principal.lastIndexOf('/');
  return (
    exact ??
    (slash === -1 || slash === principal.length - 1 ? undefined : find(entities, 'User', `${principal.slice(0, slash)}/*`))
  );
}

/** Who asked or approved, and what the credential was good for; `roles` absent: all that the set gives. */
export type Person = { readonly principal: string; readonly roles?: readonly string[] | undefined };

/** People as the engine gets them: what an entity says of a name or pattern, narrowed to what each credential was good for. */
export function peopleIn(entities: readonly Entity[], people: readonly Person[]): readonly Entity[] {
  return people.flatMap(({ principal, roles }) => {
    const known = userIn(entities, principal);
    if (known === undefined) return [];
    const parents = known.parents.filter(({ type, id }) => type !== 'Role' || roles === undefined || roles.includes(id));
    return [{ ...known, uid: { type: 'User', id: principal }, parents }];
  });
}

/** Roles that the set gives to a principal (a SPIFFE ID, or a token's principal). */
export const rolesIn = (entities: readonly Entity[], principal: string): readonly Role[] =>
  (userIn(entities, principal)?.parents ?? []).flatMap(({ type, id }) =>
    type === 'Role' ? (role.safeParse(id).data ?? []) : [],
  );

const isPattern = (name: string): boolean => name.endsWith('/*');
/** Who gives names of one kind: what comes before the last two segments (a role or project, and the person). */
const realmOf = (name: string): string => name.split('/').slice(0, -2).join('/');

/**
 * Names under which one person holds two duties that it must not hold together. A person has each name that ends alike, and by the
 * patterns beside these (`spiffe://csp/operator/*` beside `spiffe://csp/custodian/anna`) names that the set does not spell out.
 */
export function mixedDuties(entities: readonly Entity[]): readonly string[] {
  const users = entities.filter(({ uid }) => uid.type === 'User');
  const rolesOf = new Map(users.map(({ uid, parents }) => [uid.id, parents.filter(({ type }) => type === 'Role')]));
  const patterns = Map.groupBy([...rolesOf.keys()].filter(isPattern).filter(isPerson), realmOf);
  const people = Map.groupBy(rolesOf.keys(), (name) => (isPattern(name) || !isPerson(name) ? name : personOf(name)));
  const mixed = [...people.values()].flatMap((names) => {
    const person = personOf(names[0] ?? '');
    // A name that the set spells out goes before the pattern that would cover it.
    const isHeld = (pattern: string): boolean => person === '*' || !rolesOf.has(`${pattern.slice(0, -1)}${person}`);
    const beside = [...new Set(names.map(realmOf))].flatMap((realm) => patterns.get(realm) ?? []).filter(isHeld);
    const all = [...new Set([...names, ...beside])].toSorted();
    const roles = all.flatMap((name) => rolesOf.get(name) ?? []).map(({ id }) => id);
    return roles.includes(RECOVERING) && ASKING.some((one) => roles.includes(one)) ? [all.join(' with ')] : [];
  });
  return [...new Set(mixed)];
}

/** A host's security level; one that nobody spoke of has the lowest. */
export function levelIn(entities: readonly Entity[], host: string): number {
  const level = find(entities, 'Host', host)?.attrs['level'];
  return typeof level === 'number' ? level : 0;
}
