import * as cedar from '@cedar-policy/cedar-wasm/nodejs';

/** The engine and its version, as events quote it: another version may judge otherwise. */
export const ENGINE = `cedar ${cedar.getCedarSDKVersion()}`;

export type Value = cedar.CedarValueJson;
export type Uid = { readonly type: string; readonly id: string };
export type Entity = {
  readonly uid: Uid;
  readonly attrs: Readonly<Record<string, Value>>;
  readonly parents: readonly Uid[];
};
export type Request = {
  readonly principal: Uid;
  readonly action: Uid;
  readonly resource: Uid;
  readonly context: Readonly<Record<string, Value>>;
};
export type PolicyText = {
  readonly id: string;
  readonly effect: 'permit' | 'forbid';
  readonly annotations: Readonly<Record<string, string>>;
  readonly text: string;
};
type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly text: string };

const said = (errors: readonly cedar.DetailedError[]): string =>
  errors.map(({ message, help }) => (help === null ? message : `${message} (${help})`)).join('; ');

/** Policies of one text, by their `@id` annotation (empty if there is none). Templates are no policies of ours. */
export function parsePolicies(text: string): Parsed<readonly PolicyText[]> {
  const parts = cedar.policySetTextToParts(text);
  if (parts.type === 'failure') return { ok: false, text: said(parts.errors) };
  if (parts.policy_templates.length > 0) return { ok: false, text: 'templates are not supported' };
  const policies: PolicyText[] = [];
  for (const policy of parts.policies) {
    const parsed = cedar.policyToJson(policy);
    if (parsed.type === 'failure') return { ok: false, text: said(parsed.errors) };
    const { effect, annotations = {} } = parsed.json;
    policies.push({ id: annotations['id'] ?? '', effect, annotations, text: policy });
  }
  return { ok: true, value: policies };
}

const staticOf = (policies: readonly PolicyText[]): cedar.PolicySet => ({
  staticPolicies: Object.fromEntries(policies.map(({ id, text }) => [id, text])),
});
const entitiesOf = (entities: readonly Entity[]): cedar.Entities =>
  entities.map(({ uid, attrs, parents }) => ({ uid, attrs: { ...attrs }, parents: [...parents] }));

/** What the engine has against the set: types of policies and entities, by the schema (strict mode). Warnings count. */
export function faultOf(schema: string, policies: readonly PolicyText[], entities: readonly Entity[]): string | undefined {
  const checked = cedar.validate({ schema, policies: staticOf(policies), validationSettings: { mode: 'strict' } });
  if (checked.type === 'failure') return said(checked.errors);
  const faults = [...checked.validationErrors, ...checked.validationWarnings].map(
    ({ policyId, error }) => `policy ${policyId}: ${error.message}`,
  );
  if (faults.length > 0) return faults.join('; ');
  const parsed = cedar.checkParseEntities({ entities: entitiesOf(entities), schema });
  return parsed.type === 'failure' ? said(parsed.errors) : undefined;
}

/** What a schema lets be asked. */
export function actionsOf(schema: string): readonly string[] {
  const parsed = cedar.schemaToJson(schema);
  if (parsed.type === 'failure') throw new Error(`a schema that was validated does not parse: ${said(parsed.errors)}`);
  return Object.values(parsed.json).flatMap(({ actions }) => Object.keys(actions));
}

/** The actions that a policy may determine, whoever asks for them. */
export function actionsUnder({ text }: PolicyText, schema: string): readonly string[] {
  const matched = cedar.getValidRequestEnvsPolicy(text, schema);
  if (matched.type === 'failure') throw new Error(`a policy that was validated matches nothing: ${matched.error}`);
  return matched.actions.map((uid) => uid.replace(/^Action::"(.*)"$/, '$1'));
}

/** Parses once what is asked often. `name` must follow from the content (its digest): the engine remembers it by name. */
export function prepare(name: string, schema: string, policies: readonly PolicyText[]): void {
  for (const prepared of [cedar.preparsePolicySet(name, staticOf(policies)), cedar.preparseSchema(name, schema)])
    if (prepared.type === 'failure') throw new Error(`a set that was validated does not parse: ${said(prepared.errors)}`);
}

export type Answer = {
  readonly allowed: boolean;
  /** Ids, sorted. */
  readonly determining: readonly string[];
  readonly errors: readonly { readonly policy: string; readonly text: string }[];
};

/**
 * A function of its arguments and of what the name stands for: no clock, no randomness, no I/O. A policy that fails would be skipped by
 * the engine, a forbid too: then nothing is allowed, and the answer names the failing ones.
 */
export function authorize(name: string, { principal, action, resource, context }: Request, entities: readonly Entity[]): Answer {
  const answer = cedar.statefulIsAuthorized({
    principal: { ...principal },
    action: { ...action },
    resource: { ...resource },
    context: { ...context },
    preparsedSchemaName: name,
    validateRequest: true,
    preparsedPolicySetId: name,
    entities: entitiesOf(entities),
  });
  if (answer.type === 'failure') return { allowed: false, determining: [], errors: [{ policy: '', text: said(answer.errors) }] };
  const { decision, diagnostics } = answer.response;
  const errors = diagnostics.errors.map(({ policyId, error }) => ({ policy: policyId, text: error.message }));
  return {
    allowed: decision === 'allow' && errors.length === 0,
    determining: (errors.length === 0 ? diagnostics.reason : errors.map(({ policy }) => policy)).toSorted(),
    errors,
  };
}
