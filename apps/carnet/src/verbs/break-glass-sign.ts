import { readFileSync } from 'node:fs';
import {
  type BreakGlassStatement,
  breakGlassPerson,
  breakGlassStatement,
  dsseEnvelope,
  PAYLOAD_TYPES,
  spiffeId,
} from '@carnet/events';
import { leafSigner, readCertificate } from '@carnet/pki';
import { type Signer, signEnvelope } from '@carnet/trust';
import { z } from 'zod';
import { EXIT, VerbError } from '../exit.ts';
import type { Entry, Migration } from '../rows.ts';
import { type KeyOptions, signerOf } from '../signing-key.ts';
import { answered, type Streams, type World } from '../world.ts';
import { identityOf } from './wish.ts';

// Loaded by these verbs alone: certificates and the event language take their time.

export interface SignOptions {
  readonly reason: string;
  readonly hours: number;
}
export interface FencedOptions extends SignOptions, KeyOptions {}
export interface ResumeOptions {
  readonly person: readonly string[];
  readonly owner: string;
}

const HOUR_MS = 3_600_000;
const { migration, vm, epoch, release, target } = breakGlassStatement.unwrap().shape;
const breakGlassCase = z.strictObject({ migration, vm, epoch, release, target });

export async function printCase(id: string, world: World): Promise<void> {
  const broker = await world.broker();
  const name = encodeURIComponent(id);
  const row = answered(await broker.get<Migration>(`/v1/migrations/${name}`));
  const { items } = answered(await broker.get<{ readonly items: readonly Entry[] }>(`/v1/events?migration=${name}`));
  const released = items.find(({ type, voidCode }) => type === 'KeyReleased' && voidCode === undefined);
  if (released === undefined)
    throw new VerbError(EXIT.refused, 'BREAK_GLASS_NOT_RELEASED', `the key of ${id} is not released: cancel it instead`);
  const of = breakGlassCase.parse({ migration: id, vm: row.vm, epoch: row.epoch, release: released.digest, target: row.target });
  world.streams.out(`${JSON.stringify(of)}\n`);
}

export async function sign(file: string, { reason, hours }: SignOptions, world: World): Promise<void> {
  const held = identityOf(await world.context());
  if (held === undefined) throw invalid('this needs a context with a certificate: the statement is signed with it');
  const leaf = readCertificate(held.leaf);
  const uri = leaf.ok ? leaf.value.names.find(({ kind }) => kind === 'uri') : undefined;
  const said = stated(file, 'resume-at-source', { reason, hours }, world.streams);
  const envelope = enveloped(said, leafSigner(held.keyPem, held.leaf));
  const certificate = Buffer.from(held.leaf).toString('base64');
  const person = breakGlassPerson.parse({
    principal: spiffeId.parse(uri?.kind === 'uri' ? uri.text : ''),
    envelope,
    certificate,
  });
  world.streams.out(`${JSON.stringify(person)}\n`);
}

export function fenced(file: string, { reason, hours, ...key }: FencedOptions, streams: Streams): void {
  const said = stated(file, 'target-is-fenced', { reason, hours }, streams);
  streams.out(`${JSON.stringify(enveloped(said, signerOf(key)))}\n`);
}

export async function resume(id: string, { person, owner }: ResumeOptions, world: World): Promise<void> {
  const broker = await world.broker();
  const words = { persons: person.map((file) => readFrom(file, breakGlassPerson)), owner: readFrom(owner, dsseEnvelope) };
  const path = `/v1/migrations/${encodeURIComponent(id)}/break-glass`;
  await world.show(answered(await broker.act<{ readonly digest: string }>('POST', path, words)), [
    { name: 'migration', cell: () => id },
    { name: 'event', cell: () => 'BreakGlassResumed' },
    { name: 'digest', cell: (row) => row.digest },
  ]);
}

/** Says on stderr what is about to be signed: whoever signs reads it. */
function stated(
  file: string,
  says: BreakGlassStatement['says'],
  { reason, hours }: SignOptions,
  { nowMs, err }: Streams,
): BreakGlassStatement {
  const of = readFrom(file, breakGlassCase);
  const [at, notAfter] = [new Date(nowMs()), new Date(nowMs() + hours * HOUR_MS)].map((date) => date.toISOString());
  const said = breakGlassStatement.safeParse({ says, ...of, reason, at, notAfter });
  if (!said.success) throw invalid(said.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; '));
  const words =
    says === 'target-is-fenced' ? `${of.target} does not run ${of.vm}, and will not` : `${of.vm} shall run at its source`;
  err(`${words}, in migration ${of.migration}, epoch ${of.epoch}, until ${notAfter}\n`);
  return said.data;
}

const enveloped = (said: BreakGlassStatement, signer: Signer): unknown =>
  JSON.parse(Buffer.from(signEnvelope(PAYLOAD_TYPES.breakGlass, Buffer.from(JSON.stringify(said)), signer)).toString('utf8'));

function readFrom<T>(file: string, schema: z.ZodType<T>): T {
  try {
    return schema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch (cause) {
    const why = cause instanceof Error && !(cause instanceof z.ZodError) ? `: ${cause.message}` : '';
    throw invalid(`${file}: expected what \`carnet migration break-glass\` printed${why}`);
  }
}

const invalid = (text: string): VerbError => new VerbError(EXIT.usage, 'ARGUMENT_INVALID', text);
