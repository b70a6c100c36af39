import { createPrivateKey } from 'node:crypto';
import { statSync } from 'node:fs';
import { timestamp } from '@carnet/events';
import type { Signing } from '@carnet/journal';
import { type LiveLeaf, openLeaf, readPrivateText } from '@carnet/pki';
import type { Log } from '@carnet/runtime';
import { ed25519Signer } from '@carnet/trust';

export interface IdentityFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly eventKeyFile: string;
}

/** Who this broker is: its X.509 leaf (TLS, commands to hosts), and what signs its ledgers. */
export type BrokerIdentity = {
  /** As a part it follows renewals by itself. */
  readonly leaf: LiveLeaf;
  /** The Ed25519 event key of now, and the leaf that introduces it. */
  readonly signing: () => Signing;
  /** Reads the event key again if its file is another. What cannot be read changes nothing: the old key signs on, and the log says so. */
  readonly look: () => 'same' | 'changed';
};

export function openIdentity(files: IdentityFiles, log: Log, nowMs: () => number): BrokerIdentity {
  const leaf = openLeaf(files, nowMs);
  let seen = markOf(files);
  let now = eventKeyOf(files);
  let failure = '';
  return {
    leaf,
    // A new event key, or a new ledger, is introduced by the leaf of that moment.
    signing: () => {
      const { chain, signer } = leaf.current();
      return { signer: now.signer, introduction: { chain, signer, notBefore: now.notBefore } };
    },
    look: () => {
      try {
        const mark = markOf(files);
        if (mark === seen) return 'same';
        const next = eventKeyOf(files);
        seen = mark;
        failure = '';
        if (next.signer.keyid === now.signer.keyid) return 'same';
        log.warn({ keyid: next.signer.keyid, before: now.signer.keyid }, 'the event key was changed');
        now = next;
        return 'changed';
      } catch (cause) {
        const said = String(cause);
        if (said !== failure) log.error({ code: 'EVENT_KEY_UNREADABLE', err: cause }, 'the old event key signs on');
        failure = said;
        return 'same';
      }
    },
  };
}

function eventKeyOf({ eventKeyFile }: IdentityFiles) {
  const notBefore = timestamp.parse(statSync(eventKeyFile).mtime.toISOString());
  return { signer: ed25519Signer(createPrivateKey(readPrivateText(eventKeyFile))), notBefore };
}

function markOf({ eventKeyFile }: IdentityFiles): string {
  const { ino, mtimeMs, size } = statSync(eventKeyFile);
  return `${ino} ${mtimeMs} ${size}`;
}
