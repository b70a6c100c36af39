import type { FileHandle } from 'node:fs/promises';
import { writeBulk } from './bulk-writer.ts';
import { openForReading, writeWhole } from './files.ts';
import { SEGMENT_BYTES } from './limits.ts';
import { demandWanted, type Outcome, settle } from './outcome.ts';
import { openStream, type StreamKey, sealStream } from './sealed-stream.ts';

export interface StateFileRequest extends StreamKey {
  readonly from: string;
  /** Appears whole and durable, mode 600, or not at all. */
  readonly into: string;
  readonly signal?: AbortSignal;
}

export interface StateFile {
  readonly bytes: number;
}

/** Seals saved memory (on a tmpfs) into a file on disk: nothing but ciphertext ever touches the disk. `bytes`: of the sealed file. */
export const sealStateFile = (
  request: StateFileRequest & { readonly random: (bytes: number) => Uint8Array },
): Promise<Outcome<StateFile>> => transform(request, (source) => sealStream(source, request));

/** Opens a sealed state file, onto a tmpfs. A changed, cut or extended one leaves nothing behind. `bytes`: of the plain state. */
export const openStateFile = (request: StateFileRequest): Promise<Outcome<StateFile>> =>
  transform(request, (source) => openStream(source, request));

/** Bytes read at once: four segments. */
const READ_BYTES = SEGMENT_BYTES * 4;

const transform = (
  request: StateFileRequest,
  through: (source: AsyncIterable<Uint8Array>) => AsyncIterable<Buffer>,
): Promise<Outcome<StateFile>> =>
  settle(async () => {
    const from = await openForReading(request.from);
    try {
      let bytes = 0;
      await writeWhole(request.into, async (into, path) => {
        bytes = await writeBulk(path, into, through(blocksOf(from, request.signal)));
      });
      return { bytes };
    } finally {
      await from.close();
    }
  });

async function* blocksOf(file: FileHandle, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  const block = Buffer.alloc(READ_BYTES);
  try {
    for (let at = 0; ; ) {
      demandWanted(signal);
      const { bytesRead } = await file.read(block, 0, block.length, at);
      if (bytesRead === 0) return;
      yield block.subarray(0, bytesRead);
      at += bytesRead;
    }
  } finally {
    block.fill(0); // guest memory, when sealing
  }
}
