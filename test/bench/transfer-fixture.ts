import { randomFillSync } from 'node:crypto';
import { mkdir, open, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { command, fsync, run } from './processes.ts';

const MIB = 1_048_576;

/** Certificates by openssl, named as qemu wants them, valid for both tools. */
export async function makePki(dir: string): Promise<string> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const at = (name: string): string => join(dir, name);
  const newKey = ['-newkey', 'rsa:3072', '-nodes'];
  await run(
    command(
      'openssl',
      'req',
      '-x509',
      ...newKey,
      '-keyout',
      at('ca-key.pem'),
      '-out',
      at('ca-cert.pem'),
      '-subj',
      '/CN=bench root',
      '-days',
      '2',
    ),
  );
  for (const end of ['server', 'client'] as const) {
    await writeFile(
      at(`${end}.ext`),
      `subjectAltName=DNS:localhost\nkeyUsage=digitalSignature,keyEncipherment\nextendedKeyUsage=${end}Auth\n`,
    );
    await run(
      command('openssl', 'req', ...newKey, '-keyout', at(`${end}-key.pem`), '-out', at(`${end}.csr`), '-subj', `/CN=${end}`),
    );
    const signing = [
      '-CA',
      at('ca-cert.pem'),
      '-CAkey',
      at('ca-key.pem'),
      '-CAcreateserial',
      '-days',
      '2',
      '-extfile',
      at(`${end}.ext`),
    ];
    await run(command('openssl', 'x509', '-req', '-in', at(`${end}.csr`), ...signing, '-out', at(`${end}-cert.pem`)));
  }
  return dir;
}

/** Writes random bytes at the given places of a file of a given length. */
async function scatter(path: string, sizeBytes: number, places: readonly number[], eachBytes: number): Promise<void> {
  const file = await open(path, 'w');
  const block = Buffer.alloc(eachBytes);
  for (const place of places) await file.write(randomFillSync(block), 0, block.length, place);
  await file.truncate(sizeBytes);
  await file.sync();
  await file.close();
}

/** A LUKS-encrypted qcow2 whose every cluster is allocated: random bytes, encrypted by qemu-img. */
export async function denseImage(dir: string, mebibytes: number): Promise<string> {
  const [plain, image, secret] = [join(dir, 'plain.raw'), join(dir, 'dense.qcow2'), join(dir, 'passphrase')];
  await scatter(
    plain,
    mebibytes * MIB,
    Array.from({ length: mebibytes / 4 }, (_, index) => index * 4 * MIB),
    4 * MIB,
  );
  await writeFile(secret, 'bench only');
  const luks = 'encrypt.format=luks,encrypt.key-secret=s,encrypt.hash-alg=sha512,encrypt.iter-time=10';
  await run(
    command(
      'qemu-img',
      'convert',
      '--object',
      `secret,id=s,file=${secret}`,
      '-f',
      'raw',
      '-O',
      'qcow2',
      '-o',
      luks,
      plain,
      image,
    ),
  );
  await rm(plain);
  await fsync(image); // or the first round would be written beside it
  return image;
}

/** One eighth of the file holds data, in extents of 8 MiB. */
export async function sparseImage(dir: string, mebibytes: number): Promise<string> {
  const image = join(dir, 'sparse.raw');
  await scatter(
    image,
    mebibytes * MIB,
    Array.from({ length: mebibytes / 64 }, (_, index) => index * 64 * MIB),
    8 * MIB,
  );
  return image;
}
