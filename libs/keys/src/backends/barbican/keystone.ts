import { z } from 'zod';
import { KEYSTONE_MS_MAX, TOKEN_BYTES_MAX } from '../../limits.ts';
import { refuse, type VaultRefusal, type VaultResult } from '../../vault/refusal.ts';
import { jsonOf } from './answers.ts';
import { exchange, type Incoming } from './http.ts';

/** An application credential of the project in which keys are kept. Its secret: a file of mode 600, or a systemd credential. */
export type ApplicationLogin = { readonly url: string; readonly id: string; readonly ca?: string };

const issued = z.object({ token: z.object({ project: z.object({ id: z.string() }), user: z.object({ id: z.string() }) }) });

/** `user`: Keystone's id of whose credential it is. */
export type Issued = { readonly token: Buffer; readonly user: string };

/** A fresh token. `secret` is the caller's to zero; JSON takes a copy of it that ends with the request. */
export async function issueToken({ url, id, ca }: ApplicationLogin, secret: Uint8Array): Promise<VaultResult<Issued>> {
  const credential = { id, secret: Buffer.from(secret).toString('utf8') };
  const body = { auth: { identity: { methods: ['application_credential'], application_credential: credential } } };
  const answer = await exchange({
    method: 'POST',
    url: `${url.replace(/\/+$/, '')}/v3/auth/tokens`,
    headers: { 'content-type': 'application/json', accept: 'application/json' },
    body: Buffer.from(JSON.stringify(body), 'utf8'),
    timeoutMs: KEYSTONE_MS_MAX,
    ...(ca === undefined ? {} : { ca }),
  });
  if (answer?.status !== 201) return refused(answer);
  const token = answer.header('x-subject-token');
  const parsed = issued.safeParse(jsonOf(answer));
  if (token === undefined || token.length > TOKEN_BYTES_MAX || !parsed.success) return refuse('KEYSTONE_ANSWER_INVALID');
  return { ok: true, value: { token: Buffer.from(token, 'latin1'), user: parsed.data.token.user.id } };
}

function refused(answer: Incoming | undefined): VaultRefusal {
  if (answer === undefined || answer.status >= 500 || answer.status === 429) return refuse('KEYSTONE_UNAVAILABLE');
  return refuse(
    answer.status === 401 || answer.status === 403 || answer.status === 404 ? 'KEYSTONE_REFUSED' : 'KEYSTONE_ANSWER_INVALID',
  );
}
