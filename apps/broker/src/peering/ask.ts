import { request } from 'node:https';
import type { ConnectionOptions } from 'node:tls';
import { PeerRefused, shownLeaf } from '@carnet/pki';
import { PEERING_CODES } from '@carnet/publisher';
import { parseStrictJson } from '@carnet/trust';
import type { z } from 'zod';
import type { ServiceResult } from '../service/result.ts';
import { ANSWER_BYTES_MAX, ANSWER_MS_MAX } from './limits.ts';
import { refuse } from './ports.ts';
import { refusalAnswer } from './wire.ts';

interface Came {
  readonly status: number;
  readonly body: Uint8Array;
  readonly leaf: string | undefined;
}

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
  let came: Came;
  try {
    came = await exchange(tls, new URL(url), JSON.stringify(body));
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

function exchange(tls: ConnectionOptions, url: URL, body: string): Promise<Came> {
  const answered = Promise.withResolvers<Came>();
  const asked = request(url, {
    ...tls,
    method: 'POST',
    headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
    // A connection of its own: under the leaf of now, and judged now.
    agent: false,
    signal: AbortSignal.timeout(ANSWER_MS_MAX),
  });
  asked.once('error', answered.reject);
  asked.once('response', (response) => {
    const leaf = shownLeaf(response.socket);
    const parts: Buffer[] = [];
    let length = 0;
    response.on('data', (part: Buffer) => {
      parts.push(part);
      length += part.length;
      if (length > ANSWER_BYTES_MAX) response.destroy(new Error('the answer is too long'));
    });
    response.once('error', answered.reject);
    response.once('end', () =>
      answered.resolve({ status: response.statusCode ?? 0, body: new Uint8Array(Buffer.concat(parts)), leaf }),
    );
  });
  asked.end(body);
  return answered.promise;
}
