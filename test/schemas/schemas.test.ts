import { spawnSync } from 'node:child_process';
import { cpSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { event, GENESIS, intentRequest, PAYLOAD_TYPES, type Timestamp, timestamp } from '@carnet/events';
import type { Journal, StoredEvent } from '@carnet/journal';
import { chainedLine } from '@carnet/keys';
import { chainValidator, type TrustStore } from '@carnet/pki';
import { type AdmissionContext, admit, initialLedger, openEnvelope } from '@carnet/trust';
import { afterAll, describe, expect, it } from 'vitest';
import { exportLines } from '../../apps/broker/src/service/readings.ts';
import { documents, SCHEMAS } from './generate.ts';
import { exportLine } from './json-schemas.ts';
import { A, AT, B } from './said.ts';

interface Vector {
  readonly envelope: string;
  readonly digest: string;
  readonly keyid: string;
  readonly payload: unknown;
}
const read = (path: string): string => readFileSync(join(SCHEMAS, path), 'utf8');
const vector = (name: string): Vector => JSON.parse(read(`vectors/${name}.json`)) as Vector;
const bytesOf = ({ envelope }: Vector): Uint8Array => Buffer.from(envelope);

describe('schemas/', () => {
  it('is what the code makes: else run `npm run schemas`', async () => {
    const made = await documents();
    for (const [path, text] of made) expect(read(path), path).toBe(text);
    const committed = globSync('**/*.json', { cwd: SCHEMAS }).filter((path) => path !== 'vectors/identity.json');
    expect(committed.toSorted()).toEqual([...made.keys()].toSorted());
  });

  it('has a schema for every type of event, each strict', () => {
    for (const option of event.options) {
      const type = option.unwrap().shape.type.value;
      const schema = JSON.parse(read(`events/${type}.json`)) as {
        readonly properties: { readonly type: unknown };
        readonly additionalProperties: unknown;
      };
      expect(schema.properties.type).toEqual({ type: 'string', const: type });
      expect(schema.additionalProperties).toBe(false);
    }
  });
});

describe('vectors', () => {
  const now = (): Timestamp => timestamp.parse(AT);
  const root = (JSON.parse(read('vectors/identity.json')) as { readonly root: string }).root;
  // Revocation lists are not part of the vectors; a path without one is refused, as it must be.
  const store = (): TrustStore => ({ roots: [Buffer.from(root, 'base64')], crls: [] });

  it('are what our own code takes for good, but for the revocation lists', () => {
    const first = vector('key-announced');
    const asked: unknown[] = [];
    const validate = chainValidator(store, now);
    const ctx: AdmissionContext = {
      nowMs: Date.parse(AT),
      hasId: () => false,
      digestAt: () => undefined,
      hasCause: () => false,
      validateChain: (...question) => {
        const verdict = validate(...question);
        asked.push(verdict.ok ? 'good' : verdict.code);
        return verdict;
      },
    };
    expect(admit(initialLedger(A, B), bytesOf(first), ctx)).toMatchObject({ kind: 'refused' });
    expect(asked).toEqual(['CRL_MISSING']);
  });

  it('match the schemas', () => {
    for (const name of ['key-announced', 'event']) expect(event.parse(vector(name).payload), name).toEqual(vector(name).payload);
    expect(intentRequest.parse(vector('request').payload)).toEqual(vector('request').payload);
  });

  it('have the digests that they say', () => {
    for (const [name, type] of [
      ['key-announced', PAYLOAD_TYPES.event],
      ['event', PAYLOAD_TYPES.event],
      ['request', PAYLOAD_TYPES.request],
    ] as const) {
      const { digest, keyid } = vector(name);
      const opened = openEnvelope(bytesOf(vector(name)), type, () => ({ verify: () => true }));
      expect(opened, name).toMatchObject({ ok: true, value: { digest, keyid } });
    }
  });
});

describe('the example in Python', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'carnet-vectors-'));
  afterAll(() => rmSync(scratch, { recursive: true }));
  const verify = (directory: string) => {
    const ended = spawnSync('python3', [join(SCHEMAS, 'examples/verify.py'), directory], { encoding: 'utf8' });
    if (ended.error !== undefined) throw new Error('python3 is missing: apt-get install python3', { cause: ended.error });
    return ended;
  };

  it('agrees', () => {
    const { status, stdout, stderr } = verify(join(SCHEMAS, 'vectors'));
    expect(stdout + stderr).toContain('everything holds');
    expect(status).toBe(0);
  });

  const flipped = (envelope: string): string => {
    const dsse = JSON.parse(envelope) as { signatures: { sig: string }[] };
    const [signature] = dsse.signatures;
    if (signature !== undefined)
      signature.sig = signature.sig.startsWith('A') ? `B${signature.sig.slice(1)}` : `A${signature.sig.slice(1)}`;
    return JSON.stringify(dsse);
  };
  it.each<[string, string, (vector: Vector) => object, string]>([
    ['a changed digest', 'event', (one) => ({ ...one, digest: '0'.repeat(64) }), 'digest'],
    ['another spelling', 'event', (one) => ({ ...one, envelope: one.envelope.replace('{', '{ ') }), 'digest'],
    ['a changed signature', 'request', (one) => ({ ...one, envelope: flipped(one.envelope) }), 'digest'],
  ])('refuses %s', (name, file, change, said) => {
    const directory = join(scratch, name.replaceAll(' ', '-'));
    cpSync(join(SCHEMAS, 'vectors'), directory, { recursive: true });
    writeFileSync(join(directory, `${file}.json`), JSON.stringify(change(vector(file))));
    const { status, stdout } = verify(directory);
    expect(stdout).toContain('REFUSED');
    expect(stdout).toContain(said);
    expect(status).toBe(3);
  });

  it('refuses a bad signature under a good digest', () => {
    const directory = join(scratch, 'forged');
    cpSync(join(SCHEMAS, 'vectors'), directory, { recursive: true });
    const envelope = flipped(vector('request').envelope);
    const opened = openEnvelope(Buffer.from(envelope), PAYLOAD_TYPES.request, () => ({ verify: () => true }));
    if (!opened.ok) throw new Error(opened.text);
    writeFileSync(
      join(directory, 'request.json'),
      JSON.stringify({ ...vector('request'), envelope, digest: opened.value.digest }),
    );
    expect(verify(directory)).toMatchObject({ status: 3, stdout: expect.stringContaining('REFUSED  signed by the scheduler') });
  });
});

it('an export is lines of its schema', async () => {
  const stored = { envelope: bytesOf(vector('key-announced')) } as unknown as StoredEvent;
  const journal = {
    checkpoints: async () => [],
    self: A,
    peers: [B],
    ledger: async ({ publisher }: { readonly publisher: string }) => (publisher === A ? [stored] : []),
    heads: async () => [{ publisher: A, audience: B, head: { seq: '1', digest: GENESIS } }],
  } as unknown as Journal;
  const lines: string[] = [];
  const said = {
    key: '4b4e28ba-2fa1-41d2-883f-0016d3cca427',
    version: 1,
    arrival: 0,
    position: 1,
    from_state: null,
    to_state: 'active',
  };
  const born = chainedLine.parse({
    ...said,
    at: AT,
    actor: 'a',
    reason: 'b',
    cause: null,
    prev: GENESIS,
    digest: GENESIS,
    signature: null,
  });
  const keys = {
    usesHead: async () => ({ n: 0, digest: GENESIS }),
    async *historyLines() {
      yield born;
    },
  };
  for await (const line of exportLines(journal, AT, undefined, keys)) lines.push(line);
  expect(lines.length).toBe(4);
  const forB: string[] = [];
  for await (const line of exportLines(journal, AT, B, keys)) forB.push(line);
  expect(forB.filter((line) => line.includes('keyHistory'))).toEqual([]);
  for (const line of lines) exportLine.parse(JSON.parse(line));
});
