import { type ArtifactId, artifactId, type Digest, digest, type MigrationId, migrationId } from '@carnet/events';
import { z } from 'zod';
import { CODES, type ImageCode } from './codes.ts';
import { ImageError } from './outcome.ts';

const openRequest = z.strictObject({ v: z.literal(1), migration: migrationId, artifact: artifactId, root: digest }).readonly();

/** What a receiver asks for. The root names epoch and round, which are bound into it. */
export interface OpenRequest {
  readonly migration: MigrationId;
  readonly artifact: ArtifactId;
  readonly root: Digest;
}

export const encodeOpen = (request: OpenRequest): Buffer => Buffer.from(JSON.stringify({ v: 1, ...request }), 'utf8');

export function decodeOpen(bytes: Uint8Array): OpenRequest {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new ImageError('OPEN_MALFORMED', {}, cause);
  }
  const parsed = openRequest.safeParse(json);
  if (!parsed.success) throw new ImageError('OPEN_MALFORMED', {}, parsed.error);
  return parsed.data;
}

/** What a source may answer. A closed list: a peer's text never reaches a log or a person. */
const ANSWERS: ReadonlySet<string> = new Set<ImageCode>([
  'NOT_GRANTED',
  'TOO_MANY_TRANSFERS',
  'SOURCE_FAILED',
  'SOURCE_CHANGED',
  'FRAME_MALFORMED',
  'FRAME_OVERSIZED',
  'FRAME_UNEXPECTED',
  'OPEN_MALFORMED',
  'WANT_INVALID',
  'WANT_FLOOD',
]);

const isAnswer = (text: string): text is ImageCode => text in CODES && ANSWERS.has(text);

/** The code to send for a source's own refusal; whatever concerns only its machine is told as SOURCE_FAILED. */
export const answerFor = (code: ImageCode): ImageCode => (isAnswer(code) ? code : 'SOURCE_FAILED');

export function decodeRefused(payload: Buffer): ImageError {
  const text = payload.toString('latin1');
  return isAnswer(text) ? new ImageError(text, { got: 'refused by the source' }) : new ImageError('FRAME_MALFORMED');
}
