import { statSync } from 'node:fs';
import type { Signer } from '@carnet/trust';
import { readCertificate } from '../certificate.ts';
import { PkiError } from '../error.ts';
import { loadLeaf, type OwnLeaf } from '../leaf-files.ts';
import { RENEW_AFTER } from '../limits.ts';
import { filesBefore, type LeafFiles, settlePair } from './leaf-pair.ts';

/**
 * One's own identity while its files change under it. As an `OwnLeaf` it is always the leaf of now: whoever keeps a part of it
 * (`signer`, or the object) goes on with the next leaf by itself.
 */
export type LiveLeaf = OwnLeaf & {
  readonly current: () => OwnLeaf;
  /** The leaf of now, then the one before it until it ends: agreements of earlier name that one. */
  readonly held: () => readonly OwnLeaf[];
  /** Reads the files again if they are others. What cannot be read, or does not fit together, changes nothing. */
  readonly look: () => 'same' | 'changed';
  /** When the leaf of now begins and ends, and when it shall be renewed; Unix milliseconds. */
  readonly validity: () => LeafValidity;
};
export type LeafValidity = { readonly notBeforeMs: number; readonly notAfterMs: number; readonly renewMs: number };

/** @throws PkiError PEM_MALFORMED, KEY_EXPOSED, KEY_KIND, KEY_MISMATCH */
export function openLeaf(files: LeafFiles, nowMs: () => number): LiveLeaf {
  settlePair(files);
  let seen = markOf(files);
  let now = loadLeaf(files);
  let before = loadBefore(files);
  const signer: Signer = {
    get keyid() {
      return now.signer.keyid;
    },
    sign: (pae) => now.signer.sign(pae),
  };
  return {
    get certificatePem() {
      return now.certificatePem;
    },
    get keyPem() {
      return now.keyPem;
    },
    get chain() {
      return now.chain;
    },
    signer,
    current: () => now,
    held: () => (before !== undefined && validityOf(before).notAfterMs > nowMs() ? [now, before] : [now]),
    validity: () => validityOf(now),
    look: () => {
      const next = readAgain(files, seen);
      if (next === undefined) return 'same';
      seen = next.mark;
      if (next.leaf.signer.keyid === now.signer.keyid) return 'same';
      before = now;
      now = next.leaf;
      return 'changed';
    },
  };
}

/** undefined: as before, or in the middle of being replaced. */
function readAgain(files: LeafFiles, seen: string): { readonly mark: string; readonly leaf: OwnLeaf } | undefined {
  try {
    const mark = markOf(files);
    return mark === seen ? undefined : { mark, leaf: loadLeaf(files) };
  } catch {
    return undefined;
  }
}

/** None, or one that never was whole, is no reason not to start. */
function loadBefore(files: LeafFiles): OwnLeaf | undefined {
  try {
    return loadLeaf(filesBefore(files));
  } catch {
    return undefined;
  }
}

const markOf = ({ certificateFile, keyFile }: LeafFiles): string =>
  [certificateFile, keyFile]
    .map((file) => {
      const { ino, mtimeMs, size } = statSync(file);
      return `${ino} ${mtimeMs} ${size}`;
    })
    .join(' ');

/** @throws PkiError PEM_MALFORMED */
export function validityOf({ chain }: Pick<OwnLeaf, 'chain'>): LeafValidity {
  const leaf = readCertificate(Uint8Array.from(Buffer.from(chain[0] ?? '', 'base64')));
  if (!leaf.ok) throw new PkiError('PEM_MALFORMED', leaf.text);
  const { notBeforeMs, notAfterMs } = leaf.value;
  return { notBeforeMs, notAfterMs, renewMs: notBeforeMs + Math.round((notAfterMs - notBeforeMs) * RENEW_AFTER) };
}
