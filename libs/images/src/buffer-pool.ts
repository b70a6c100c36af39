import { DIRECT_ALIGN_BYTES } from './limits.ts';

const WASM_PAGE_BYTES = 65_536;
/** The one thing we need of it: TypeScript knows WebAssembly only together with a browser. */
declare const WebAssembly: {
  readonly Memory: new (pages: { readonly initial: number; readonly maximum: number }) => { readonly buffer: ArrayBuffer };
};

/**
 * Buffers that begin on page boundaries, as O_DIRECT demands. Node has no aligned allocation; the memory of WebAssembly is
 * page-aligned by specification of every engine's mmap. `sizeBytes` must be a multiple of DIRECT_ALIGN_BYTES.
 */
export function alignedBuffers(count: number, sizeBytes: number): readonly Buffer<ArrayBuffer>[] {
  if (sizeBytes % DIRECT_ALIGN_BYTES !== 0)
    throw new RangeError(`expected a multiple of ${DIRECT_ALIGN_BYTES}, got ${sizeBytes}`);
  const pages = Math.ceil((count * sizeBytes) / WASM_PAGE_BYTES);
  const { buffer } = new WebAssembly.Memory({ initial: pages, maximum: pages });
  return Array.from({ length: count }, (_, at) => Buffer.from(buffer, at * sizeBytes, sizeBytes));
}

export interface BufferPool {
  /** A buffer, or `undefined` when all are in use. */
  take(): Buffer<ArrayBuffer> | undefined;
  give(buffer: Buffer<ArrayBuffer>): void;
  free(): number;
}

/** A fixed number of chunk buffers: the whole memory of one transfer. */
export function bufferPool(count: number, sizeBytes: number, onGive: () => void): BufferPool {
  const buffers = [...alignedBuffers(count, sizeBytes)];
  return {
    take: () => buffers.pop(),
    give(buffer) {
      buffers.push(buffer);
      onGive();
    },
    free: () => buffers.length,
  };
}
