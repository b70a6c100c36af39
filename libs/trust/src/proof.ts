import { PROOF_BYTES_MAX, type ProofFile, proofFile, type TrustDomain } from '@carnet/events';
import { fromBase64, toBase64 } from '#primitives';
import type { ProofCode } from './proof-codes.ts';
import { accept, type Checked, refuse } from './refusal.ts';
import { parseStrictJson } from './strict-json.ts';

/** What convicts a CSP: the fields of `proofFile`, as bytes. */
export type Proof = {
  readonly accused: TrustDomain;
  readonly audience: TrustDomain;
  readonly code: ProofFile['code'];
  readonly statement: Uint8Array;
  readonly accusedEvents: readonly Uint8Array[];
  readonly audienceEvents: readonly Uint8Array[];
  readonly acknowledgement?: Uint8Array;
};

/** The form of a proof, and nothing of what it says. */
export function readProof(bytes: Uint8Array): Checked<Proof, Extract<ProofCode, 'PROOF_MALFORMED' | 'PROOF_TOO_LARGE'>> {
  if (bytes.length > PROOF_BYTES_MAX)
    return refuse('PROOF_TOO_LARGE', 'expected a smaller file', {
      expected: `at most ${PROOF_BYTES_MAX} bytes`,
      got: `${bytes.length} bytes`,
    });
  const json = parseStrictJson(bytes);
  if (!json.ok) return refuse('PROOF_MALFORMED', `expected a proof: ${json.code}: ${json.text}`);
  const parsed = proofFile.safeParse(json.value);
  if (parsed.success) return accept(proofOf(parsed.data));
  const issue = parsed.error.issues[0];
  return refuse('PROOF_MALFORMED', `expected a proof: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`.trim());
}

function proofOf({ accused, audience, code, statement, accusedEvents, audienceEvents, acknowledgement }: ProofFile): Proof {
  return {
    accused,
    audience,
    code,
    statement: fromBase64(statement),
    accusedEvents: accusedEvents.map(fromBase64),
    audienceEvents: audienceEvents.map(fromBase64),
    ...(acknowledgement === undefined ? {} : { acknowledgement: fromBase64(acknowledgement) }),
  };
}

export function proofFileOf(proof: Proof): ProofFile {
  const { accused, audience, code, statement, accusedEvents, audienceEvents, acknowledgement } = proof;
  return {
    carnet: 'proof',
    v: 1,
    accused,
    audience,
    code,
    statement: toBase64(statement),
    accusedEvents: accusedEvents.map(toBase64),
    audienceEvents: audienceEvents.map(toBase64),
    ...(acknowledgement === undefined ? {} : { acknowledgement: toBase64(acknowledgement) }),
  };
}
