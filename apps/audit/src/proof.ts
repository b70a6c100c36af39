import { timestamp } from '@carnet/events';
import { chainValidator, type TrustStore } from '@carnet/pki';
import { judgeProof, readProof } from '@carnet/trust';
import { readProofBytes } from './io/proof-bytes.ts';
import type { ProofVerdict } from './proof-verdict.ts';

/**
 * From the file of a proof to a verdict, with no broker and no database: certificates as of when each key was introduced.
 *
 * @throws AuditError FILE_UNREADABLE
 */
export function judgeProofFile(path: string, trust: TrustStore, nowMs: number): ProofVerdict {
  const asOf = timestamp.parse(new Date(nowMs).toISOString());
  const verdict = { carnet: 'proof-verdict', v: 1, asOf } as const;
  const read = readProof(readProofBytes(path));
  if (!read.ok) return { ...verdict, convinces: false, refusal: refusalOf(read) };
  const { accused, audience, code } = read.value;
  const named = { ...verdict, accused, audience, claim: code };
  const validateChain = chainValidator(
    () => trust,
    () => asOf,
    'as of then',
  );
  const judged = judgeProof(read.value, { nowMs, validateChain });
  if (!judged.ok) return { ...named, convinces: false, refusal: refusalOf(judged) };
  const { statement, contradiction, keys } = judged.value;
  const signedBy = keys.map(({ keyid, introducedAt }) => ({ keyid, introducedAt }));
  return { ...named, convinces: true, statement, contradiction, signedBy };
}

const refusalOf = ({ code, text, expected, got }: NonNullable<ProofVerdict['refusal']>) => ({
  code,
  text,
  ...(expected === undefined ? {} : { expected }),
  ...(got === undefined ? {} : { got }),
});
