import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

/**
 * Who may read: whoever holds the token of this start. The port is open to every user of the machine, and to every web page
 * that the operator's browser shows; neither knows the token.
 */
export interface Access {
  /** Shown to the operator once, and never logged. */
  readonly token: string;
  /** Of an `Authorization` header; a cookie would not do, since cookies of one address are sent to all of its ports. */
  readonly admits: (authorization: string | undefined) => boolean;
}

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest();

export function createAccess(random: (n: number) => Uint8Array = randomBytes): Access {
  const token = Buffer.from(random(32)).toString('base64url');
  const expected = sha256(`Bearer ${token}`);
  // Digests are compared: equal lengths, and no timing that depends on the token.
  return { token, admits: (authorization) => timingSafeEqual(sha256(authorization ?? ''), expected) };
}

/**
 * DNS rebinding: a hostile name that resolves to 127.0.0.1 makes a browser send its own name as `Host`. Only loopback's own
 * names are served.
 */
export function isOwnHost(host: string | undefined, port: number): boolean {
  return host === `127.0.0.1:${port}` || host === `localhost:${port}` || host === `[::1]:${port}`;
}
