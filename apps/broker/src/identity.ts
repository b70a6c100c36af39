import { createPrivateKey } from 'node:crypto';
import { statSync } from 'node:fs';
import { timestamp } from '@carnet/events';
import type { Signing } from '@carnet/journal';
import { loadLeaf, type OwnLeaf, readPrivateText } from '@carnet/pki';
import type { Log } from '@carnet/runtime';
import { ed25519Signer } from '@carnet/trust';

export interface IdentityFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly eventKeyFile: string;
}

/** Who this broker is: its X.509 leaf (TLS, commands to hosts), and what signs its ledgers. */
export type BrokerIdentity = OwnLeaf & {
  /** The Ed25519 event key of now, and the leaf that introduces it. */
  readonly signing: () => Signing;
  /** Reads the files again if one is another. What cannot be read changes nothing: the old key signs on, and the log says so. */
  readonly look: () => 'same' | 'changed';
};

export function openIdentity(files: IdentityFiles, log: Log): BrokerIdentity {
  let seen = markOf(files);
  let now = signingOf(files);
  let failure = '';
  return {
    ...loadLeaf(files),
    signing: () => now,
    look: () => {
      try {
        const mark = markOf(files);
        if (mark === seen) return 'same';
        const next = signingOf(files);
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

/** Key and certificate are read together: a new event key is introduced by the leaf that lies there now. */
function signingOf(files: IdentityFiles): Signing {
  const leaf = loadLeaf(files);
  const notBefore = timestamp.parse(statSync(files.eventKeyFile).mtime.toISOString());
  return {
    signer: ed25519Signer(createPrivateKey(readPrivateText(files.eventKeyFile))),
    introduction: { chain: leaf.chain, signer: leaf.signer, notBefore },
  };
}

const markOf = (files: IdentityFiles): string =>
  [files.certificateFile, files.keyFile, files.eventKeyFile]
    .map((file) => {
      const { ino, mtimeMs, size } = statSync(file);
      return `${ino} ${mtimeMs} ${size}`;
    })
    .join(' ');
