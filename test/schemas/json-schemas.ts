import {
  accreditationRevocations,
  accreditationStatement,
  consentStatement,
  digest,
  dsseEnvelope,
  event,
  evidence,
  intentRequest,
  peerMessage,
  proofFile,
  trustDomain,
} from '@carnet/events';
import { chainedLine } from '@carnet/keys';
import { z } from 'zod';
import { openapi } from '../../apps/broker/src/http/openapi.ts';
import { intentEvent } from '../../apps/broker/src/http/schemas.ts';

/** One line of `GET /v1/export`: a header, every envelope of every ledger exactly as chained, every line of the keys' histories, an end. */
export const exportLine = z.union([
  z.strictObject({
    carnet: z.literal('ledger-export'),
    v: z.literal(1),
    self: trustDomain,
    exportedAt: z.iso.datetime(),
    keyUses: z.strictObject({ n: z.int().min(0), digest }).optional(),
  }),
  z.strictObject({ publisher: trustDomain, audience: trustDomain, envelope: z.base64() }),
  z.strictObject({ keyHistory: chainedLine }),
  z.strictObject({ carnet: z.literal('end-of-export') }),
]);

const schemaText = (name: string, schema: z.ZodType): string => {
  const made = z.toJSONSchema(schema, {
    target: 'draft-2020-12',
    // "readOnly" means something else to readers of JSON Schema than to TypeScript.
    override: ({ jsonSchema }) => void delete jsonSchema.readOnly,
  });
  const { $schema, ...rest } = made;
  return textOf({ $schema, $id: `urn:carnet:schema:${name}:v1`, title: name, ...rest });
};

export const textOf = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`;

/** The `type` that one member of the union of events stands for. */
const typeOf = (schema: z.ZodType): string =>
  z.object({ properties: z.object({ type: z.object({ const: z.string() }) }) }).parse(z.toJSONSchema(schema)).properties.type
    .const;

/** Path below `schemas/` → text. Everything here follows from the code. */
export function jsonSchemas(): ReadonlyMap<string, string> {
  const events = event.options.map((option): [string, string] => {
    const type = typeOf(option);
    return [`events/${type}.json`, schemaText(type, option)];
  });
  return new Map([
    ...events,
    ['request.json', schemaText('request', intentRequest)],
    ['accreditation.json', schemaText('accreditation', accreditationStatement)],
    ['accreditation-revocations.json', schemaText('accreditation-revocations', accreditationRevocations)],
    ['consent.json', schemaText('consent', consentStatement)],
    ['intent-event.json', schemaText('intent-event', intentEvent)],
    ['evidence.json', schemaText('evidence', evidence)],
    ['peer-message.json', schemaText('peer-message', peerMessage)],
    ['dsse-envelope.json', schemaText('dsse-envelope', dsseEnvelope)],
    ['ledger-export-line.json', schemaText('ledger-export-line', exportLine)],
    ['proof.json', schemaText('proof', proofFile)],
    ['openapi.json', textOf(openapi())],
  ]);
}
