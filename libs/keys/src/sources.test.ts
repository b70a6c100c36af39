import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const here = import.meta.dirname;
const sources = readdirSync(here, { recursive: true, encoding: 'utf8' }).filter(
  (name) => name.endsWith('.ts') && name !== 'sources.test.ts',
);

describe('sources of this lib', () => {
  // @hpke/core accepts a sender's key with the post-quantum KEMs and authenticates nothing: a wrong sender's message opens.
  it.each(sources)('%s never asks HPKE for a sender', (name) => {
    expect(readFileSync(join(here, name), 'utf8')).not.toMatch(/sender(?:Public)?Key|SetupAuth|\bpskId?\b/i);
  });

  // `Buffer.from(string or array)` and `Buffer.concat` may share a pool: only the vault's own functions make secret buffers.
  // The service describes and destroys secrets; only the child's store sees one.
  it('asks another key manager for a payload in the child only', () => {
    const asking = sources.filter(
      (name) => /\.payload\(|\.fill\((secret|made)/.test(readFileSync(join(here, name), 'utf8')) && !name.endsWith('.test.ts'),
    );
    expect(asking).toEqual([join('backends', 'barbican', 'secret-store.ts')]);
  });

  it('spawns a process in one place only', () => {
    const spawning = sources.filter(
      (name) => /node:child_process/.test(readFileSync(join(here, name), 'utf8')) && !name.endsWith('.test.ts'),
    );
    expect(spawning).toEqual([join('child', 'spawn.ts')]);
  });
});
