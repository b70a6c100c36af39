import { z } from 'zod';
import { type Route } from './route.ts';
import { routes } from './routes.ts';
import { problem } from './schemas.ts';

type Json = { readonly [key: string]: unknown };

const jsonSchema = (schema: z.ZodType, io: 'input' | 'output'): Json => {
  const { $schema, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  return rest;
};

const content = (schema: z.ZodType, io: 'input' | 'output', type = 'application/json'): Json => ({ [type]: { schema: jsonSchema(schema, io) } });

const parameters = (route: Route): readonly Json[] => {
  const inPath = [...route.path.matchAll(/:(\w+)/g)].map((match) => ({ name: match[1], in: 'path', required: true, schema: { type: 'string' } }));
  if (route.query === undefined) return inPath;
  const { properties, required } = jsonSchema(route.query, 'input') as { readonly properties?: Json; readonly required?: readonly string[] };
  const inQuery = Object.entries(properties ?? {}).map(([name, schema]) => ({ name, in: 'query', required: required?.includes(name) ?? false, schema }));
  return [...inPath, ...inQuery];
};

const operation = (route: Route): Json => ({
  summary: route.summary,
  description: `Roles: ${route.roles.join(', ')}.`,
  operationId: `${route.method.toLowerCase()}${route.path.replaceAll(/[/:]+(\w)/g, (_, letter: string) => letter.toUpperCase())}`,
  parameters: parameters(route),
  ...(route.body === undefined
    ? {}
    : { requestBody: { required: true, content: content(route.body, 'input', route.path.includes('intents') ? 'application/cloudevents+json' : 'application/json') } }),
  responses: {
    200: { description: 'Done', content: content(route.answer, 'output') },
    default: { description: 'Refused or failed: nothing was changed', content: content(problem, 'output') },
  },
});

const streams: Json = {
  '/v1/follow': {
    get: { summary: 'Every ledger entry from `Last-Event-ID` on, then live (server-sent events)', operationId: 'getV1Follow', responses: { 200: { description: 'text/event-stream' } } },
  },
  '/v1/export': {
    get: { summary: 'Every envelope exactly as chained, for `carnet audit` (newline-delimited JSON)', operationId: 'getV1Export', responses: { 200: { description: 'application/x-ndjson' } } },
  },
};

/** The API as OpenAPI 3.1, made from the same table that serves it. */
export function openapi(): Json {
  const paths: Record<string, Record<string, Json>> = {};
  for (const route of routes) {
    const path = route.path.replaceAll(/:(\w+)/g, '{$1}');
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation(route) };
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Carnet broker', version: '1', description: "One CSP's broker: intake, state of migrations, keys, ledgers. TLS 1.3; a client certificate of the CSP, or a bearer token at the token door." },
    components: { securitySchemes: { mutualTLS: { type: 'mutualTLS' }, token: { type: 'http', scheme: 'bearer' } } },
    security: [{ mutualTLS: [] }, { token: [] }],
    paths: { ...paths, ...streams },
  };
}
