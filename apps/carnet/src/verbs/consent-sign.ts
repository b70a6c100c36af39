import { readFileSync } from 'node:fs';
import { consentStatement, PAYLOAD_TYPES, vmId, vmSpec } from '@carnet/events';
import { imageOf } from '@carnet/policy';
import { policyCrypto } from '@carnet/publisher';
import { signEnvelope } from '@carnet/trust';
import { z } from 'zod';
import { EXIT, VerbError } from '../exit.ts';
import { type KeyOptions, signerOf } from '../signing-key.ts';
import type { Streams } from '../world.ts';

export interface SignOptions extends KeyOptions {
  readonly from: string;
  readonly to: string;
  readonly mode: readonly string[];
  readonly notBefore?: string;
  readonly notAfter: string;
  readonly epoch?: number;
  readonly serial?: string;
}

const SERIAL_BYTES = 12;
const shownVm = z.object({ vm: vmId, spec: vmSpec });

/** Signs what it says on stderr, and prints the envelope. */
export function sign(file: string, options: SignOptions, { nowMs, random, out, err }: Streams): void {
  const { vm, spec } = readVm(file);
  const { from, to, mode, notAfter, epoch } = options;
  const { notBefore = new Date(nowMs()).toISOString(), serial = Buffer.from(random(SERIAL_BYTES)).toString('hex') } = options;
  const stated = consentStatement.safeParse({
    consents: 'migration',
    serial,
    vm,
    image: imageOf(spec, policyCrypto.hash),
    source: from,
    target: to,
    modes: [...new Set(mode)].toSorted(),
    notBefore,
    notAfter,
    ...(epoch === undefined ? {} : { epoch }),
  });
  if (!stated.success) throw invalid(stated.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; '));
  const signer = signerOf(options);
  const attempt = epoch === undefined ? 'every attempt' : `the attempt of epoch ${epoch}`;
  err(
    `consent ${serial}: ${vm} from ${from} to ${to}, ${stated.data.modes.join(' or ')}, ${attempt} between ${notBefore} and ${notAfter}\n`,
  );
  const envelope = signEnvelope(PAYLOAD_TYPES.consent, Buffer.from(JSON.stringify(stated.data)), signer);
  out(`${Buffer.from(envelope).toString('utf8')}\n`);
}

function readVm(file: string): z.output<typeof shownVm> {
  try {
    return shownVm.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch (cause) {
    const why = cause instanceof Error && !(cause instanceof z.ZodError) ? `: ${cause.message}` : '';
    throw invalid(`${file}: expected what \`carnet vm show VM --format json\` prints${why}`);
  }
}

const invalid = (text: string): VerbError => new VerbError(EXIT.usage, 'ARGUMENT_INVALID', text);
