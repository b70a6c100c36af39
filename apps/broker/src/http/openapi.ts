import { event } from '@carnet/events';
import { z } from 'zod';
import { type SecretRoute, secretRoutes } from '../barbican/routes.ts';
import { fault, version, versions } from '../barbican/schemas.ts';
import { type Route, readers } from './route.ts';
import { routes } from './routes.ts';
import { problem } from './schemas.ts';
import { exportQuery, followQuery, streamRoles } from './streams.ts';

type Json = { readonly [key: string]: unknown };

const EVENT_REF = '#/components/schemas/Event';

/** `$schema` is the document's business; the union of all events stands once, in the components. */
function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, {
    io,
    override: ({ zodSchema, jsonSchema: made }) => {
      // OpenAPI's "readOnly" speaks of requests and answers, TypeScript's of assignments.
      delete made.readOnly;
      if (zodSchema !== event || schema === event) return;
      for (const key of Object.keys(made)) Reflect.deleteProperty(made, key);
      made.$ref = EVENT_REF;
    },
  });
  return rest;
}

const contentOf = (schema: z.ZodType, io: 'input' | 'output', types: readonly string[] = ['application/json']): Json => {
  const made = jsonSchema(schema, io);
  return Object.fromEntries(types.map((type) => [type, { schema: made }]));
};

const refused: Json = {
  description: 'Refused or failed: nothing was changed. `carnet error CODE` says what to do next',
  content: { 'application/json': { schema: { $ref: '#/components/schemas/Refusal' } } },
};

function parametersOf(schema: z.ZodType, place: 'path' | 'query'): readonly Json[] {
  const { properties = {}, required = [] } = z
    .object({ properties: z.record(z.string(), z.unknown()).optional(), required: z.array(z.string()).optional() })
    .parse(jsonSchema(schema, 'input'));
  return Object.entries(properties).map(([name, of]) => ({ name, in: place, required: required.includes(name), schema: of }));
}

const roleText = (roles: readonly string[]): string => `Roles: ${[...roles, 'administrator'].join(', ')}.`;

const operationIdOf = (method: string, path: string): string =>
  `${method.toLowerCase()}${path.replaceAll(/[/:]+(\w?)/g, (_, letter: string) => letter.toUpperCase())}`;

const operationOf = (route: Route): Json => ({
  summary: route.summary,
  description: roleText(route.roles),
  operationId: operationIdOf(route.method, route.path),
  parameters: [...parametersOf(route.params, 'path'), ...parametersOf(route.query, 'query')],
  ...(route.method !== 'POST' ? {} : { requestBody: requestBodyOf(route) }),
  responses: { 200: { description: 'Done', content: contentOf(route.answer, 'output') }, default: refused },
});

const requestBodyOf = (route: Route): Json => ({
  required: true,
  content: contentOf(route.body, 'input', ['application/json', ...(route.contentTypes ?? [])]),
});

const faulted: Json = {
  description: "Refused or failed, in Barbican's shape; the description begins with the code",
  content: { 'application/json': { schema: { $ref: '#/components/schemas/Fault' } } },
};
const MICROVERSION: Json = {
  name: 'OpenStack-API-Version',
  in: 'header',
  required: false,
  schema: { type: 'string', examples: ['key-manager 1.1'] },
};
const PROJECT: Json = {
  name: 'X-Project-Id',
  in: 'header',
  required: false,
  description: 'The project; needed unless the credential is bound to one, which then counts',
  schema: { type: 'string' },
};

/** Paths for OpenStack's clients. */
const secretOperation = ({ path, summary, params, query, answer }: SecretRoute): Json => ({
  summary,
  description: roleText(readers),
  operationId: operationIdOf('GET', path),
  parameters: [...parametersOf(params, 'path'), ...parametersOf(query, 'query'), PROJECT, MICROVERSION],
  responses: {
    ...(answer instanceof z.ZodNever ? {} : { 200: { description: 'Done', content: contentOf(answer, 'output') } }),
    default: faulted,
  },
});

const discovery = (path: string, status: number, answer: z.ZodType): Json => ({
  get: {
    summary: "Barbican: versions of OpenStack's Key Manager API; anyone may ask",
    operationId: operationIdOf('GET', path),
    security: [],
    parameters: [MICROVERSION],
    responses: { [status]: { description: 'Versions', content: contentOf(answer, 'output') }, default: faulted },
  },
});

const streams: Json = {
  '/v1/follow': {
    get: {
      summary: 'Every ledger entry from `Last-Event-ID` (or `after`) on, then live',
      description: `Server-sent events; \`id\` is a cursor, \`data\` an entry as of /v1/events. ${roleText(streamRoles.follow)}`,
      operationId: 'getV1Follow',
      parameters: [
        { name: 'Last-Event-ID', in: 'header', required: false, schema: { type: 'string' } },
        ...parametersOf(followQuery, 'query'),
      ],
      responses: {
        200: { description: 'Entries', content: { 'text/event-stream': { schema: { type: 'string' } } } },
        default: refused,
      },
    },
  },
  '/v1/export': {
    get: {
      summary: 'Every envelope exactly as chained, for `carnet audit`',
      description: `Newline-delimited JSON (schemas/ledger-export-line.json). ${roleText(streamRoles.export)}`,
      operationId: 'getV1Export',
      parameters: parametersOf(exportQuery, 'query'),
      responses: {
        200: { description: 'Lines', content: { 'application/x-ndjson': { schema: { type: 'string' } } } },
        default: refused,
      },
    },
  },
};

/** The API as OpenAPI 3.1, made from the same table that serves it. */
export function openapi(): Json {
  const paths: Record<string, Json> = {};
  for (const route of routes) {
    const path = route.path.replaceAll(/:(\w+)/g, '{$1}');
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(route) };
  }
  for (const route of secretRoutes) paths[route.path.replaceAll(/:(\w+)/g, '{$1}')] = { get: secretOperation(route) };
  return {
    openapi: '3.1.0',
    info: {
      title: 'Carnet broker',
      version: '1',
      description:
        "One CSP's broker: intake, state of migrations, keys, ledgers. TLS 1.3; a client certificate of the CSP, or a bearer token at the token door.",
    },
    security: [{ mutualTLS: [] }, { token: [] }, { openstack: [] }],
    paths: { ...paths, ...streams, '/': discovery('/', 300, versions), '/v1': discovery('/v1', 200, version) },
    components: {
      schemas: { Refusal: jsonSchema(problem, 'output'), Fault: jsonSchema(fault, 'output'), Event: jsonSchema(event, 'output') },
      securitySchemes: {
        mutualTLS: { type: 'mutualTLS' },
        token: { type: 'http', scheme: 'bearer' },
        openstack: { type: 'apiKey', in: 'header', name: 'X-Auth-Token', description: 'The same token, where OpenStack has it' },
      },
    },
  };
}
