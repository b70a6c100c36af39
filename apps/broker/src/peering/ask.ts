import type { ConnectionOptions } from 'node:tls';
import { exchangeOverTls, PeerRefused, type TlsAnswer } from '@carnet/pki';
import { PEERING_CODES } from '@carnet/publisher';
import { parseStrictJson } from '@carnet/trust';
import type { z } from 'zod';
import type { ServiceResult } from '../service/result.ts';
import { ANSWER_BYTES_MAX, ANSWER_MS_MAX } from './limits.ts';
import { refuse } from './ports.ts';
import { refusalAnswer } from './wire.ts';

/**
 * One question to the other side's door. @param tls from `introducingTlsOptions` or `clientTlsOptions`: who is there is judged before a byte
 * is sent. @returns the answer, of its schema, and the leaf of whoever gave it
 */
export async function ask<A extends z.ZodType>(
  tls: ConnectionOptions,
  url: string,
  body: object,
  answer: A,
): Promise<ServiceResult<{ readonly said: z.output<A>; readonly leaf: string }>> {
  let came: TlsAnswer;
  try {
    came = await exchangeOverTls(tls, new URL(url), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      timeoutMs: ANSWER_MS_MAX,
      bytesMax: ANSWER_BYTES_MAX,
    });
  } catch (cause) {
    if (cause instanceof PeerRefused) return refuse(cause.code, cause.refusal.text);
    return refuse('PEERING_UNREACHABLE', `${new URL(url).host}: ${printable(String(cause))}`);
  }
  const json = parseStrictJson(came.body);
  if (came.status !== 200) return refusalOf(json.ok ? json.value : undefined);
  const said = json.ok ? answer.safeParse(json.value) : undefined;
  if (said?.success !== true || came.leaf === undefined)
    return refuse('PEERING_ANSWER_MALFORMED', 'the other side answers in a way that this version does not know');
  return { ok: true, value: { said: said.data, leaf: came.leaf } };
}

/** A code of ours, or none: the other side may say anything, and people act on codes. */
function refusalOf(body: unknown): ServiceResult<never> {
  const said = refusalAnswer.safeParse(body).data;
  const known = said !== undefined && Object.hasOwn(PEERING_CODES, said.code) ? said.code : 'PEERING_REFUSED_THERE';
  return refuse(known, `the other side: ${printable(`${said?.code ?? ''} ${said?.text ?? 'refused without a reason'}`)}`);
}

const printable = (text: string): string =>
  text
    .replaceAll(/[^\x20-\x7e]+/g, ' ')
    .trim()
    .slice(0, 300);
