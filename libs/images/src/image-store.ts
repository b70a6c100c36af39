import { constants, copyFile, mkdir, mkdtemp, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { byteCount, digest, type Timestamp, timestamp } from '@carnet/events';
import { z } from 'zod';
import { openForReading, syncFolder, writeFully, writeWhole } from './files.ts';
import { usualChunkBytes } from './grid.ts';
import { guardHeader, luksHeaderDigest } from './guard.ts';
import { IMAGE_RECORD_BYTES_MAX, IMAGES_MAX } from './limits.ts';
import { type Manifest, type ManifestContext, openManifest } from './manifest.ts';
import { demand, ImageError, type Outcome, settle } from './outcome.ts';
import { sealContent } from './seal.ts';
import { demandSpace, freeSpace } from './staging.ts';
import { demandContent } from './verify.ts';

/** A catalogue name; also the name of its folder, hence without separators and never `.` or `..`. */
const imageName = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,62}$/);

const imageRecord = z
  .strictObject({
    v: z.literal(1),
    name: imageName,
    created: timestamp,
    sizeBytes: byteCount,
    virtualBytes: byteCount,
    chunkBytes: byteCount,
    /** Merkle root of the content, bound to the name. */
    root: digest,
    /** SHA-256 of the LUKS header and key slots. */
    luksHeader: digest,
  })
  .readonly();
/** A registered image: a LUKS-encrypted qcow2 that never changes. */
export type ImageRecord = z.infer<typeof imageRecord>;

interface NewImage {
  readonly name: string;
  readonly signal?: AbortSignal;
}
export interface FromFile extends NewImage {
  readonly file: string;
}
export interface FromMaker extends NewImage {
  /** What it throws goes through to the caller; nothing of the image stays. */
  readonly make: (file: string) => Promise<void>;
}

export interface ImageStore {
  /** By name. */
  list(): Promise<Outcome<readonly ImageRecord[]>>;
  show(name: string): Promise<Outcome<ImageRecord>>;
  /** Copies a file in. The same content under the same name again is the same image; other content is refused. */
  register(image: FromFile): Promise<Outcome<ImageRecord>>;
  /** As `register`, with a file that `make` writes at the path it is given, inside the store: nothing is copied. */
  registerMade(image: FromMaker): Promise<Outcome<ImageRecord>>;
  /** Bytes that a new image may take. */
  room(): Promise<number>;
  /** Reads every byte and compares it with the record. */
  verify(name: string, signal?: AbortSignal): Promise<Outcome<ImageRecord>>;
  /** The file to clone a new VM's disk from, guarded anew: its header is what was registered. */
  openForClone(name: string): Promise<Outcome<{ readonly file: string; readonly record: ImageRecord }>>;
}

interface StorePlaces {
  readonly dir: string;
  readonly image: (name: string) => string;
  readonly manifest: (name: string) => string;
  readonly record: (name: string) => string;
}

const places = (dir: string): StorePlaces => ({
  dir,
  image: (name) => join(dir, name, 'image.qcow2'),
  manifest: (name) => join(dir, name, 'manifest'),
  record: (name) => join(dir, name, 'record.json'),
});

/** Opens the image store in a folder of its own (made when absent, mode 700). `now` dates what is registered. */
export const openImageStore = (at: { readonly dir: string; readonly now: () => Timestamp }): Promise<Outcome<ImageStore>> =>
  settle(async () => {
    await mkdir(at.dir, { recursive: true, mode: 0o700 });
    const place = places(at.dir);
    await sweep(at.dir);
    return {
      list: () => settle(() => list(place)),
      show: (name) => settle(() => readRecord(place, demandName(name))),
      register: (image) => settle(() => registerFile(place, image, at.now)),
      registerMade: (image) => settle(() => register(place, image, at.now)),
      room: () => freeSpace(at.dir),
      verify: (name, signal) => settle(() => verify(place, demandName(name), signal)),
      openForClone: (name) => settle(() => openForClone(place, demandName(name))),
    };
  });

/** Half-registered images start with this; no image's name can. */
const UNFINISHED = '.new-';

/** Removes what a crash left of registrations. */
async function sweep(dir: string): Promise<void> {
  for (const entry of await readdir(dir))
    if (entry.startsWith(UNFINISHED)) await rm(join(dir, entry), { recursive: true, force: true });
}

function demandName(name: string): string {
  const parsed = imageName.safeParse(name);
  if (!parsed.success) throw new ImageError('IMAGE_NAME');
  return parsed.data;
}

async function names(place: StorePlaces): Promise<readonly string[]> {
  const entries = await readdir(place.dir, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory() && imageName.safeParse(entry.name).success)
    .map((entry) => entry.name)
    .sort();
}

async function list(place: StorePlaces): Promise<readonly ImageRecord[]> {
  const records: ImageRecord[] = [];
  for (const name of await names(place)) records.push(await readRecord(place, name));
  return records;
}

async function readRecord(place: StorePlaces, name: string): Promise<ImageRecord> {
  const bytes = await readFile(place.record(name)).catch((error: unknown) => {
    throw error instanceof Error && 'code' in error && error.code === 'ENOENT'
      ? new ImageError('IMAGE_UNKNOWN', { got: name })
      : error;
  });
  if (bytes.length > IMAGE_RECORD_BYTES_MAX) throw new ImageError('IMAGE_RECORD', { got: name });
  try {
    const record = imageRecord.parse(JSON.parse(bytes.toString('utf8')));
    if (record.name === name) return record;
  } catch (cause) {
    throw new ImageError('IMAGE_RECORD', { got: name }, cause);
  }
  throw new ImageError('IMAGE_RECORD', { expected: name });
}

const contextFor = (name: string, sizeBytes: number, chunkBytes: number): ManifestContext => ({
  purpose: 'image',
  name,
  sizeBytes,
  chunkBytes,
});

async function registerFile(place: StorePlaces, image: FromFile, now: () => Timestamp): Promise<ImageRecord> {
  demandName(image.name);
  demand(await guardHeader(image.file, { format: 'qcow2' }));
  const source = await openForReading(image.file);
  const { size } = await source.stat().finally(() => source.close());
  await demandSpace(place.dir, size);
  // Shares blocks where the file system can.
  const make = (file: string): Promise<void> => copyFile(image.file, file, constants.COPYFILE_FICLONE);
  return register(place, { ...image, make }, now);
}

/** Everything is written into a folder of another name; one rename makes it an image. */
async function register(place: StorePlaces, image: FromMaker, now: () => Timestamp): Promise<ImageRecord> {
  const name = demandName(image.name);
  if ((await names(place)).length >= IMAGES_MAX) throw new ImageError('IMAGE_STORE_FULL', { expected: `at most ${IMAGES_MAX}` });
  const folder = await mkdtemp(join(place.dir, UNFINISHED));
  try {
    const file = join(folder, 'image.qcow2');
    await image.make(file);
    await syncFile(file);
    const header = demand(await guardHeader(file, { format: 'qcow2' })); // what lies here, not what it came from, is what counts
    const luksHeader = demand(await luksHeaderDigest(file, { format: 'qcow2' }));
    const content = await sealContent(
      file,
      join(folder, 'manifest'),
      (sizeBytes) => contextFor(name, sizeBytes, usualChunkBytes(sizeBytes)),
      image,
    );
    const record: ImageRecord = {
      v: 1,
      name,
      created: now(),
      sizeBytes: content.sizeBytes,
      virtualBytes: header.virtualBytes,
      chunkBytes: content.chunkBytes,
      root: content.root,
      luksHeader,
    };
    await writeWhole(join(folder, 'record.json'), (out) =>
      writeFully(out, Buffer.from(`${JSON.stringify(record, null, 2)}\n`), 0),
    );
    return await publish(place, folder, record);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function publish(place: StorePlaces, folder: string, record: ImageRecord): Promise<ImageRecord> {
  try {
    await rename(folder, join(place.dir, record.name));
  } catch (error) {
    const taken = error instanceof Error && 'code' in error && (error.code === 'ENOTEMPTY' || error.code === 'EEXIST');
    if (!taken) throw error;
    const held = await readRecord(place, record.name);
    if (held.root === record.root) return held;
    throw new ImageError('IMAGE_NAME_TAKEN', { expected: held.root, got: record.root });
  }
  await syncFolder(place.dir);
  return record;
}

async function syncFile(path: string): Promise<void> {
  const handle = await open(path, 'r+');
  try {
    await handle.chmod(0o600);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function verify(place: StorePlaces, name: string, signal?: AbortSignal): Promise<ImageRecord> {
  const record = await readRecord(place, name);
  const manifest: Manifest = await openManifest(
    place.manifest(name),
    contextFor(name, record.sizeBytes, record.chunkBytes),
    record.root,
  );
  try {
    await demandContent(place.image(name), manifest, signal);
  } finally {
    await manifest.close();
  }
  return record;
}

async function openForClone(place: StorePlaces, name: string): Promise<{ readonly file: string; readonly record: ImageRecord }> {
  const record = await readRecord(place, name);
  const file = place.image(name);
  const found = demand(await luksHeaderDigest(file, { format: 'qcow2', capacityBytes: record.virtualBytes }));
  if (found !== record.luksHeader) throw new ImageError('CONTENT_MISMATCH', { expected: record.luksHeader, got: found });
  return { file, record };
}
