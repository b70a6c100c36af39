import { describe, expect, it } from 'vitest';
import { files, imports, isTest, type SourceFile } from './tree.ts';

/** What each lib may import of ours: the table of the architecture. A lib imports lower rings only, never a sibling, never an app. */
const LIBS: Readonly<
  Record<string, { readonly ring: number; readonly ours: readonly string[]; readonly packages: readonly string[] }>
> = {
  events: { ring: 0, ours: [], packages: ['zod'] },
  libvirt: { ring: 0, ours: [], packages: [] },
  saga: { ring: 1, ours: ['events'], packages: ['zod'] },
  policy: { ring: 1, ours: ['events'], packages: ['zod', '@cedar-policy/cedar-wasm'] },
  trust: { ring: 1, ours: ['events'], packages: ['zod', '@noble/curves', '@noble/hashes'] },
  store: { ring: 1, ours: [], packages: ['zod', 'kysely', 'pg', '@electric-sql/pglite'] },
  pki: { ring: 2, ours: ['events', 'trust'], packages: ['zod', 'node-forge', 'pkijs', 'asn1js'] },
  journal: {
    ring: 2,
    ours: ['events', 'trust', 'store'],
    packages: ['zod', 'kysely', 'nats', '@nats-io/nats-core', '@nats-io/jetstream'],
  },
  keys: {
    ring: 2,
    ours: ['events', 'trust', 'store'],
    packages: ['zod', 'kysely', 'hpke', 'shamir-secret-sharing', 'pkcs11js', '@panva/hpke-noble', '@hpke/core'],
  },
  images: { ring: 2, ours: ['events', 'trust'], packages: ['zod'] },
  hypervisor: { ring: 2, ours: ['events', 'trust', 'libvirt'], packages: ['zod', 'fast-xml-parser'] },
  views: { ring: 2, ours: ['events', 'saga', 'store'], packages: ['zod', 'kysely'] },
  runtime: {
    ring: 3,
    ours: ['events', 'saga', 'trust', 'journal', 'store'],
    packages: ['zod', 'pino', 'prom-client', 'smol-toml', 'kysely'],
  },
  publisher: { ring: 3, ours: ['events', 'trust'], packages: ['zod', 'smol-toml'] },
};

/** Pure libs: no clock, no randomness, no I/O, so no `node:` either. `events` too: it also runs in browsers. */
const PURE = ['events', 'saga', 'policy'];

const libOf = (file: SourceFile): string | undefined => /^libs\/([^/]+)\/src\//.exec(file.path)?.[1];
const packageOf = (specifier: string): string =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
const libSources = files(/^libs\/[^/]+\/src\/.*\.tsx?$/).filter((file) => !isTest(file.path));

const violations = (
  judge: (file: SourceFile, specifier: string) => string | undefined,
  among: readonly SourceFile[],
): readonly string[] => among.flatMap((file) => imports(file).flatMap((specifier) => judge(file, specifier) ?? [])).map(String);

describe('import rules', () => {
  it('sees the tree at all', () => {
    expect(libSources.length).toBeGreaterThan(40);
    expect(new Set(libSources.map(libOf))).toEqual(new Set(Object.keys(LIBS)));
  });

  it('the table itself only points to lower rings', () => {
    for (const [name, rule] of Object.entries(LIBS)) {
      for (const other of rule.ours) expect(LIBS[other]?.ring, `${name} → ${other}`).toBeLessThan(rule.ring);
    }
  });

  it('libs import what the architecture allows, nothing else', () => {
    const found = violations((file, specifier) => {
      const rule = LIBS[libOf(file) ?? ''];
      if (rule === undefined) return `${file.path}: no rule for this lib`;
      if (specifier.startsWith('.') || specifier.startsWith('#') || specifier.startsWith('node:')) return undefined;
      const allowed = specifier.startsWith('@carnet/')
        ? rule.ours.includes(specifier.slice('@carnet/'.length))
        : rule.packages.includes(packageOf(specifier));
      return allowed ? undefined : `${file.path} → ${specifier}`;
    }, libSources);
    expect(found).toEqual([]);
  });

  it('what ships imports nothing that only tests may', () => {
    const found = violations(
      (file, specifier) => (/\/testing(\/|\.ts$|$)/.test(specifier) ? `${file.path} → ${specifier}` : undefined),
      libSources,
    );
    expect(found).toEqual([]);
  });

  it('nobody reaches into a lib past its index', () => {
    const all = files(/^(libs|apps|infra|test)\/.*\.tsx?$/);
    const found = violations((file, specifier) => {
      if (/^@carnet\/[^/]+\/./.test(specifier)) return `${file.path} → ${specifier}`;
      if (!specifier.startsWith('.')) return undefined;
      const own = file.path.split('/').slice(0, 2).join('/');
      const resolved = new URL(specifier, `file:///${file.path}`).pathname.slice(1);
      // Where a lib has a `testing.ts`, that is its index for the tests of others.
      const isForTests = /(\/testing\/|\.test\.ts$)/.test(file.path) && /^libs\/[^/]+\/src\/testing\.ts$/.test(resolved);
      return resolved.startsWith(`${own}/`) || own.startsWith('test/') || isForTests ? undefined : `${file.path} → ${specifier}`;
    }, all);
    expect(found).toEqual([]);
  });

  it('no lib and no app imports an app', () => {
    const apps = new Set(['broker', 'agent', 'console', 'audit', 'carnet']);
    const found = violations(
      (file, specifier) =>
        specifier.startsWith('@carnet/') && apps.has(specifier.slice('@carnet/'.length))
          ? `${file.path} → ${specifier}`
          : undefined,
      files(/^(libs|apps)\/.*\.tsx?$/),
    );
    expect(found).toEqual([]);
  });

  it('pure libs import no node: module', () => {
    const found = violations(
      (file, specifier) =>
        PURE.includes(libOf(file) ?? '') && specifier.startsWith('node:') ? `${file.path} → ${specifier}` : undefined,
      libSources,
    );
    expect(found).toEqual([]);
  });
});
