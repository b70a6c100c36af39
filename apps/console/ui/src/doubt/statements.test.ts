import { describe, expect, it } from 'vitest';
import { collect, stillNeeded } from './statements.ts';
import { enveloped, FENCED, GLASS, NOW_MS, OWNER, personFile, SAID, signerOf } from './testing.ts';

const look = (file: object | string, glass = GLASS) =>
  collect('file.json', typeof file === 'string' ? file : `${JSON.stringify(file)}\n`, glass, NOW_MS);
const owner = (said: object = FENCED, by = OWNER) => enveloped(by, said);
const { owner: _, ...OWNERLESS } = GLASS;

describe('a statement at hand', () => {
  it('of a person is what `sign` printed', () => {
    expect(look(personFile('anna'))).toEqual({
      file: 'file.json',
      from: 'person',
      who: 'spiffe://csp-a.example/operator/anna',
      reason: SAID.reason,
      notAfter: SAID.notAfter,
    });
  });
  it('of the owner is what `fenced` printed', () => {
    expect(look(owner())).toEqual({
      file: 'file.json',
      from: 'owner',
      who: 'the owner',
      reason: FENCED.reason,
      notAfter: FENCED.notAfter,
    });
  });

  it.each<readonly [string, object | string, RegExp]>([
    [
      'another migration',
      personFile('anna', { ...SAID, migration: SAID.migration.replace('2c07', '2c08') }),
      /another migration/,
    ],
    ['another VM', personFile('anna', { ...SAID, vm: SAID.vm.replace('1b', '2b') }), /another vm/],
    ['another epoch', personFile('anna', { ...SAID, epoch: 2 }), /another epoch/],
    ['another release', owner({ ...FENCED, release: 'cd'.repeat(32) }), /another release/],
    ['another target', owner({ ...FENCED, target: 'csp-c.example' }), /another target/],
    ['what the owner says, by a person', personFile('anna', FENCED), /somebody else/],
    ['what a person says, by the owner', owner(SAID), /somebody else/],
    ['yesterday', personFile('anna', { ...SAID, notAfter: '2026-11-23T11:59:59.999Z' }), /was good until/],
    ['tomorrow', personFile('anna', { ...SAID, at: '2026-11-23T12:05:00.001Z' }), /ahead/],
    ['another CSP', personFile('anna', SAID, 'csp-b.example'), /no operator of csp-a/],
    ['another owner', owner(FENCED, signerOf('somebody')), /not signed by the key/],
    ['nothing that is known', personFile('anna', { says: 'yes' }), /understood/],
    ['no statement', { principal: 'anna' }, /no statement/],
    ['no JSON', 'resume!', /no statement/],
    ['nothing', '', /no statement/],
  ])('of %s does not help, and says why', (__, file, fault) => {
    expect(look(file).fault).toMatch(fault);
  });
  it('does not help a VM without an owner', () => {
    expect(look(owner(), OWNERLESS).fault).toMatch(/names no owner/);
  });
});

describe('who is still needed', () => {
  const needed = (...files: readonly object[]) =>
    stillNeeded(
      files.map((file) => look(file)),
      GLASS,
    ).map((who) => who.split(' ').slice(0, 3).join(' '));
  it('is counted by persons, not by files', () => {
    expect(needed()).toEqual(['2 operators of', 'the VM’s owner,']);
    expect(needed(personFile('anna'), personFile('anna'))).toEqual(['1 operator of', 'the VM’s owner,']);
    expect(needed(personFile('anna'), owner())).toEqual(['1 operator of']);
    expect(needed(personFile('anna'), personFile('ben'), owner())).toEqual([]);
    expect(needed(personFile('anna'), personFile('ben', { ...SAID, epoch: 2 }), owner())).toEqual(['1 operator of']);
  });
  it('names whom it must not be again', () => {
    expect(stillNeeded([look(personFile('anna'))], GLASS)[0]).toContain('other than spiffe://csp-a.example/operator/anna');
  });
});
