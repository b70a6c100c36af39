import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { type Barbican, scratch, startBarbican } from '@carnet/dev';
import { artifactId, type KeyId, keyId, timestamp } from '@carnet/events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KeysError } from '../../result.ts';
import { deksAt } from '../../testing/contract-suite.ts';
import { type Fault, type FaultProxy, faultProxy } from '../../testing/fault-proxy.ts';
import { secretsOf } from '../../testing/managers.ts';
import {
  begin,
  inlineProcess,
  must,
  NOW,
  openSide,
  record,
  released,
  type Side,
  TENANT,
  within,
} from '../../testing/two-sides.ts';

const AS = { 'x-project-id': 'faults' };
let barbican: Barbican;
let proxy: FaultProxy;
let a: Side;
let b: Side;
let clock = NOW;
beforeAll(async () => {
  barbican = await startBarbican({ dir: join(scratch('faults'), 'barbican') });
  proxy = await faultProxy(barbican.url);
  a = await openSide({ process: inlineProcess() });
  const options = { barbican: { url: proxy.url, project: 'faults' }, domain: 'csp-b.example', now: () => clock } as const;
  b = await openSide({ ...options, process: inlineProcess() });
});
afterAll(async () => {
  for (const side of [a, b]) await side?.close();
  await proxy?.close();
  await barbican?.stop();
});

/** Secrets of this story's keys that Barbican has now. */
const secretsFor = async ({ keys }: { readonly keys: readonly { readonly key: KeyId }[] }): Promise<number> =>
  (await secretsOf(barbican, AS)).filter(({ name }) => keys.some(({ key }) => name.includes(key))).length;

/** A story at the moment before B opens its release. */
async function readyToImport() {
  const story = await begin(a, b);
  const deks = await deksAt(a, story, 'trial-unlock');
  const { release, acknowledged, roots } = await released(a, b, story);
  const { migration, epoch } = story.handover;
  const request = { migration, epoch, release, acknowledged: acknowledged.digest, roots };
  const finish = async (): Promise<void> => {
    must(await record(b, await b.keys.openRelease(request)));
    must(await within(b, (tx) => b.keys.importKeys(tx, { migration, epoch, release: release.digest })));
    expect(await b.keys.settleSecrets()).toMatchObject({ refused: [] });
  };
  return { story, deks, request, finish };
}

const PUTS = {
  create: /^POST \/v1\/secrets$/,
  restrict: /^PUT \/v1\/secrets\/[^/]+\/acl$/,
  label: /^PUT \/v1\/secrets\/[^/]+\/metadata$/,
  fill: /^PUT \/v1\/secrets\/[^/]+$/,
} as const;
/** Not done, done but unreported, and an answer that is not Barbican's: the effect fails, and is repeated. */
const UNREPORTED: readonly Fault[] = ['refuse', 'forget', 'page'];

describe.each(Object.entries(PUTS))('an import of which Barbican fails to %s', (_effect, matches) => {
  it.each(UNREPORTED)('%s: fails as an accident, and the repeat leaves one secret for each key', async (fault) => {
    const { story, deks, request, finish } = await readyToImport();
    const failed = proxy.fail(fault, matches);
    await expect(b.keys.openRelease(request)).rejects.toMatchObject({ code: 'BARBICAN_UNAVAILABLE', retryable: true });
    expect(failed()).toBe(1);
    await finish();
    expect(await deksAt(b, story, 'run')).toEqual(deks);
    expect(await secretsFor(story)).toBe(story.keys.length);
  });

  it('twice: leaves one secret for each key', async () => {
    const { story, deks, finish } = await readyToImport();
    const failed = proxy.fail('twice', matches);
    await finish();
    expect(failed()).toBe(1);
    expect(await deksAt(b, story, 'run')).toEqual(deks);
    expect(await secretsFor(story)).toBe(story.keys.length);
  });
});

describe('an import', () => {
  it('whose Barbican never answers fails in time, and is repeated', async () => {
    const { story, deks, request, finish } = await readyToImport();
    const failed = proxy.fail('hang', PUTS.create);
    await expect(b.keys.openRelease(request)).rejects.toMatchObject({ code: 'BARBICAN_UNAVAILABLE', retryable: true });
    expect(failed()).toBe(1);
    await finish();
    expect(await deksAt(b, story, 'run')).toEqual(deks);
    expect(await secretsFor(story)).toBe(story.keys.length);
  });

  it('that crashed before its record finds the secrets that it made', async () => {
    const { story, deks, request, finish } = await readyToImport();
    must(await b.keys.openRelease(request));
    expect(await secretsFor(story)).toBe(story.keys.length);
    await finish();
    expect(await deksAt(b, story, 'run')).toEqual(deks);
    expect(await secretsFor(story)).toBe(story.keys.length);
  });

  it('done by two replicas at once ends with one secret for each key', async () => {
    const { story, deks, request, finish } = await readyToImport();
    await Promise.all([b.keys.openRelease(request), b.keys.openRelease(request)]);
    await finish();
    expect(await deksAt(b, story, 'run')).toEqual(deks);
    expect(await secretsFor(story)).toBe(story.keys.length);
  });

  it('that crashed and is then discarded leaves no secret', async () => {
    const { story, request } = await readyToImport();
    must(await b.keys.openRelease(request));
    const { migration, epoch } = story.handover;
    must(await within(b, (tx) => b.keys.discard(tx, { migration, epoch })));
    expect(await b.keys.settleSecrets()).toMatchObject({ refused: [] });
    expect(await secretsFor(story)).toBe(0);
  });
});

describe.each([
  ['the deletion', /^DELETE \/v1\/secrets\/[^/]+$/],
  ['the removal of a consumer', /^DELETE \/v1\/secrets\/[^/]+\/consumers$/],
])('when %s fails', (_effect, matches) => {
  it.each(['refuse', 'forget', 'twice', 'hang'] as const)('%s: the next round ends it', async (fault) => {
    const { story, finish } = await readyToImport();
    await finish();
    for (const { key, version, kind } of story.keys)
      must(
        await within(b, async (tx) => {
          await b.keys.removeConsumer(tx, key, `vm:${story.handover.vm}`);
          return b.keys.changeState(tx, { key, version, to: 'destroyed', reason: `test of ${kind}` });
        }),
      );
    const failed = proxy.fail(fault, matches);
    const first = b.keys.settleSecrets().then(
      () => 'settled',
      (error: unknown) => (error instanceof KeysError ? error.code : 'another error'),
    );
    expect(await first).toBe(fault === 'twice' ? 'settled' : 'BARBICAN_UNAVAILABLE');
    expect(failed()).toBe(1);
    await b.keys.settleSecrets();
    expect(await secretsFor(story)).toBe(0);
    expect(await b.keys.settleSecrets()).toEqual({ kept: 0, destroyed: 0, refused: [] });
  });
});

describe('a key that was made', () => {
  const wanted = () =>
    ({
      key: keyId.parse(randomUUID()),
      tenant: TENANT,
      artifact: artifactId.parse(randomUUID()),
      kind: 'disk',
      derivation: 'luks-passphrase-hex',
      capacityBytes: 1_024,
      reason: 'test',
    }) as const;

  it('and not recorded is found again, not made again', async () => {
    const dek = wanted();
    must(await b.keys.createDek(dek));
    must(await record(b, await b.keys.createDek(dek)));
    await b.keys.settleSecrets();
    expect(await secretsFor({ keys: [dek] })).toBe(1);
  });

  it('and given up is destroyed after an hour, not before', async () => {
    const dek = wanted();
    must(await b.keys.createDek(dek));
    await b.keys.settleSecrets();
    expect(await secretsFor({ keys: [dek] })).toBe(1);
    clock = timestamp.parse(new Date(Date.parse(NOW) + 3_600_001).toISOString());
    await b.keys.settleSecrets();
    expect(await secretsFor({ keys: [dek] })).toBe(0);
  });
});
