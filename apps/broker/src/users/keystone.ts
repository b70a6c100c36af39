import { readFileSync } from 'node:fs';
import { exchange, issueToken, readPassphrase } from '@carnet/keys';
import { type Role, role } from '@carnet/policy';
import type { Log } from '@carnet/runtime';
import { sha256Hex } from '@carnet/trust';
import { z } from 'zod';
import type { ServiceRefusal } from '../service/result.ts';
import type { Caller } from './caller.ts';
import { tokenEnding } from './credential.ts';
import { type KeystoneConfig, keystoneId, WHOLE_CSP } from './keystone-config.ts';
import {
  KEYSTONE_ANSWER_MS_MAX,
  KEYSTONE_QUESTIONS_MAX,
  KEYSTONE_QUESTIONS_OF_ONE_MAX,
  KEYSTONE_REST_MS,
  KEYSTONE_WORD_MS,
  KEYSTONE_WORDS_MAX,
} from './limits.ts';

export interface KeystoneUsers {
  /** Who has this token, as Keystone says. */
  /** `from`: the client's address, of which only so many tokens are asked about at once. */
  readonly authenticate: (token: string, from: string) => Promise<Word>;
}
type Word = Caller | ServiceRefusal;

/** What Keystone says of a token (Identity API v3, "Validate and show information for token"). */
const shown = z.object({
  token: z.object({
    user: z.object({ id: keystoneId }),
    project: z.object({ id: keystoneId }).optional(),
    roles: z.array(z.object({ name: z.string() })).default([]),
    expires_at: z.iso.datetime(),
  }),
});

/** Fernet's and JSON Web Signatures alike, of at most 2,048 characters: larger ones are no token, and a header that a server may refuse whole. */
const KEYSTONE_TOKEN = /^[A-Za-z0-9._~+/=-]{16,2048}$/;

const refuse = (code: string, text: string): ServiceRefusal => ({ ok: false, code, text });
const UNAVAILABLE = refuse('KEYSTONE_UNAVAILABLE', 'Keystone does not answer, so the token cannot be judged; try again');
const REFUSED = refuse('KEYSTONE_REFUSED', "Keystone does not let this broker judge tokens; the broker's log says more");

const INVALID = refuse('KEYSTONE_ANSWER_INVALID', "what answered is none of Keystone's answers");
const FAILURES: Readonly<Record<string, ServiceRefusal>> = {
  KEYSTONE_UNAVAILABLE: UNAVAILABLE,
  KEYSTONE_ANSWER_INVALID: INVALID,
};

/**
 * Users of a Keystone, by their own tokens. The principal is `keystone/<project id>/<user id>`. Nothing of a token is kept but its
 * digest, and Keystone's word on it for some seconds.
 */
export function openKeystoneUsers(config: KeystoneConfig, log: Log, nowMs: () => number): KeystoneUsers {
  const words = new Map<string, { readonly word: Word; readonly untilMs: number }>();
  const questions = new Map<string, Promise<Word>>();
  const own = ownToken(config);
  /** Questions under way, by the client's address. */
  const asking = new Map<string, number>();
  let restsUntilMs = 0;

  const keep = (digest: string, word: Word, untilMs: number): void => {
    words.delete(digest);
    words.set(digest, { word, untilMs });
    const [oldest] = words.keys();
    if (words.size > KEYSTONE_WORDS_MAX && oldest !== undefined) words.delete(oldest);
  };
  const ask = async (digest: string, token: string): Promise<Word> => {
    const answer = await said(config, own, token);
    if ('failed' in answer) {
      log.warn({ code: answer.failed.code }, 'Keystone does not judge a token');
      restsUntilMs = nowMs() + KEYSTONE_REST_MS;
      return answer.failed;
    }
    keep(digest, answer.word, Math.min(nowMs() + KEYSTONE_WORD_MS, answer.endsAtMs ?? Infinity));
    return answer.word;
  };

  return {
    authenticate: async (token, from) => {
      if (!KEYSTONE_TOKEN.test(token)) return refuse('TOKEN_REFUSED', 'no Keystone makes such a token');
      const digest = sha256Hex(Buffer.from(token));
      const kept = words.get(digest);
      if (kept !== undefined && nowMs() < kept.untilMs) return kept.word;
      const asked = questions.get(digest);
      if (asked !== undefined) return asked;
      const others = asking.get(from) ?? 0;
      if (nowMs() < restsUntilMs || questions.size >= KEYSTONE_QUESTIONS_MAX || others >= KEYSTONE_QUESTIONS_OF_ONE_MAX)
        return UNAVAILABLE;
      asking.set(from, others + 1);
      const question = ask(digest, token).finally(() => {
        questions.delete(digest);
        const left = (asking.get(from) ?? 1) - 1;
        if (left === 0) asking.delete(from);
        else asking.set(from, left);
      });
      questions.set(digest, question);
      return question;
    },
  };
}

/** A word that may be kept, and when the token ends by itself; or why there is none. */
type Said = { readonly word: Word; readonly endsAtMs?: number } | { readonly failed: ServiceRefusal };

/** Asks with our own token; one that has ended meanwhile is replaced once. */
async function said(config: KeystoneConfig, own: OwnToken, token: string): Promise<Said> {
  for (let tries = 0; tries < 2; tries += 1) {
    const ours = await own.current();
    if ('ok' in ours) return { failed: ours };
    const answer = await exchange({
      method: 'GET',
      url: `${base(config)}/v3/auth/tokens?nocatalog`,
      headers: { accept: 'application/json', 'x-auth-token': ours.toString('latin1'), 'x-subject-token': token },
      timeoutMs: KEYSTONE_ANSWER_MS_MAX,
      ...caOf(config),
    });
    if (answer === undefined || answer.status >= 500 || answer.status === 429) return { failed: UNAVAILABLE };
    if (answer.status === 401) {
      own.ended(ours);
      continue;
    }
    // Our own right to ask, or an address that is not Keystone's.
    if (answer.status === 403 || (answer.status >= 300 && answer.status < 400)) return { failed: REFUSED };
    if (answer.status === 200) return readWord(config, answer.body);
    // About this token only: one that nobody but its sender knows must not rest everybody.
    return { word: refuse('TOKEN_REFUSED', 'Keystone does not know the token: it has ended, or never was') };
  }
  return { failed: REFUSED };
}

function readWord(config: KeystoneConfig, body: Buffer): Said {
  const parsed = shown.safeParse(jsonOf(body));
  if (!parsed.success) return { word: INVALID };
  const { user, project, roles, expires_at } = parsed.data.token;
  const endsAtMs = Date.parse(expires_at);
  if (project === undefined) return { word: refuse('TOKEN_REFUSED', 'the token is of no project'), endsAtMs };
  const ours = Object.hasOwn(config.projects, project.id) ? config.projects[project.id] : undefined;
  if (ours === undefined) return { word: refuse('PROJECT_UNMAPPED', `project ${project.id} is none of this CSP's`), endsAtMs };
  const principal = `keystone/${project.id}/${user.id}`;
  const bound = ours === WHOLE_CSP ? {} : { project: ours };
  const credential = tokenEnding(endsAtMs);
  return { word: { principal, via: 'token', credential, onlyRoles: rolesOf(config, roles), ...bound }, endsAtMs };
}

/** In the order of Carnet's roles, so that the same rights are the same list. */
function rolesOf({ roles }: KeystoneConfig, held: readonly { readonly name: string }[]): readonly Role[] {
  const granted = new Set<Role>(held.flatMap(({ name }) => (Object.hasOwn(roles, name) ? (roles[name] ?? []) : [])));
  return role.options.filter((one) => granted.has(one));
}

function jsonOf(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return undefined; // refused by the schema
  }
}

const base = ({ url }: KeystoneConfig): string => url.replace(/\/+$/, '');
/** Read each time: a renewed CA takes no restart. */
const caOf = ({ caFile }: KeystoneConfig): { readonly ca?: string } =>
  caFile === undefined ? {} : { ca: readFileSync(caFile, 'utf8') };

interface OwnToken {
  readonly current: () => Promise<Buffer | ServiceRefusal>;
  readonly ended: (token: Buffer) => void;
}

/** The broker's own token, one at a time; how long it is good is Keystone's to say. */
function ownToken(config: KeystoneConfig): OwnToken {
  let token: Buffer | undefined;
  let issuing: Promise<Buffer | ServiceRefusal> | undefined;
  const issue = async (): Promise<Buffer | ServiceRefusal> => {
    const secret = await readPassphrase({ kind: 'file', path: config.credentialSecretFile });
    if (!secret.ok) return refuse('KEYSTONE_REFUSED', `the broker's own credential: ${secret.text}`);
    const issued = await issueToken({ url: base(config), id: config.credentialId, ...caOf(config) }, secret.value);
    secret.value.fill(0);
    if (!issued.ok) return FAILURES[issued.code] ?? REFUSED;
    token = issued.value.token;
    return token;
  };
  return {
    current: async () => {
      if (token !== undefined) return token;
      issuing ??= issue().finally(() => {
        issuing = undefined;
      });
      return issuing;
    },
    ended: (used) => {
      if (token === used) token = undefined;
    },
  };
}
