import { readFileSync } from 'node:fs';
import { accept, type Checked, refuse } from '@carnet/trust';
import { createCrl, type RevocationReason } from '../build-crl.ts';
import { isSignedBy } from '../certificate.ts';
import type { PkiCode } from '../codes.ts';
import { type Crl, readCrl } from '../crl.ts';
import { writeDurably } from '../durable.ts';
import { BACKDATE_MS } from '../limits.ts';
import { alone, authorityPaths } from './authority-files.ts';
import { type Office, time } from './issue.ts';
import { liveLine } from './lines.ts';
import { appendRegister, type RevokedLine, readRegister } from './register.ts';

/** `line`: with all of its line of renewals that has not ended. `one`: this one alone, where another of the line is known to be good. */
export type RevocationReach = 'line' | 'one';

export type RevocationWish = {
  readonly serial: string;
  readonly reason: RevocationReason;
  readonly reach: RevocationReach;
  readonly crlMs: number;
};

/**
 * Revokes for ever, and makes the list that says so, in one step for every other process. What was revoked before is refused, and its
 * list made all the same: the one before may have been lost between the two.
 */
export function revokeCertificate(
  office: Office,
  { serial, reason, reach, crlMs }: RevocationWish,
): Checked<Uint8Array, PkiCode> {
  const { dir, nowMs } = office;
  return alone(dir, () => {
    const register = readRegister(dir);
    const found = register.issued.find((one) => one.serial === serial);
    if (found === undefined)
      return refuse('CERTIFICATE_UNKNOWN', 'expected a serial number of the register', { got: serial.slice(0, 64) });
    const others = reach === 'line' ? liveLine(register, found, nowMs()).map((one) => one.serial) : [];
    const serials = [...new Set([serial, ...others])].filter((one) => !register.revoked.has(one));
    const at = time(nowMs());
    appendRegister(
      dir,
      serials.map((one): RevokedLine => ({ kind: 'revoked', serial: one, at, reason })),
    );
    const list = listIn(office, crlMs);
    return serials.length > 0
      ? accept(list)
      : refuse('ALREADY_REVOKED', 'expected a certificate that was not revoked', { got: serial });
  });
}

/**
 * A new CRL in `<dir>/crl.der`. Its number is above every one before, and at least the time in seconds: so it does not go back where
 * the directory was restored from a backup (RFC 5280, section 5.2.3).
 */
export const makeCrl = (office: Office, crlMs: number): Uint8Array => alone(office.dir, () => listIn(office, crlMs));

/** Whether the list that lies there will be stale within `crlMs / 2`, or does not say what the register says: a crash, or a backup. */
export function isCrlDue({ dir, nowMs }: Pick<Office, 'dir' | 'nowMs'>, crlMs: number): boolean {
  const { revoked, crlNextUpdate } = readRegister(dir);
  if (crlNextUpdate === undefined || Date.parse(crlNextUpdate) - nowMs() < crlMs / 2) return true;
  const list = lastList(dir);
  return list?.revoked.size !== revoked.size || [...revoked.keys()].some((serial) => !list.revoked.has(serial));
}

/** Inside the lock. */
function listIn(office: Office, crlMs: number): Uint8Array {
  const { dir, authority, nowMs } = office;
  const last = lastList(dir);
  if (last !== undefined) takeBack(office, last);
  const { revoked, crlNumber } = readRegister(dir);
  const number = Math.max(crlNumber, Number(last?.number ?? 0), Math.floor(nowMs() / 1_000) - 1) + 1;
  const nextUpdateMs = nowMs() + crlMs;
  appendRegister(dir, [{ kind: 'crl', number, nextUpdate: time(nextUpdateMs) }]);
  const crl = createCrl(authority, {
    number,
    thisUpdateMs: nowMs() - Math.min(BACKDATE_MS, Math.floor(crlMs / 10)),
    nextUpdateMs,
    revoked: [...revoked.values()].map((one) => ({ serial: one.serial, atMs: Date.parse(one.at), reason: one.reason })),
  });
  writeDurably(authorityPaths(dir).crl, crl, { mode: 0o644 });
  return crl;
}

/** What the last list revoked and the register does not know: it came back from a backup. Revoked is for ever. */
function takeBack({ dir, authority }: Office, last: Crl): void {
  if (!isSignedBy(last, authority.keys.publicKey)) return;
  const { revoked } = readRegister(dir);
  const lost = [...last.revoked].filter(([serial]) => !revoked.has(serial));
  const lines = lost.map(([serial, atMs]): RevokedLine => ({ kind: 'revoked', serial, at: time(atMs), reason: 'unspecified' }));
  if (lines.length > 0) appendRegister(dir, lines);
}

function lastList(dir: string): Crl | undefined {
  try {
    const crl = readCrl(Uint8Array.from(readFileSync(authorityPaths(dir).crl)));
    return crl.ok ? crl.value : undefined;
  } catch {
    // The first.
    return undefined;
  }
}
