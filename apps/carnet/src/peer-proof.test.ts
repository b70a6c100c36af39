import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openStandIn, type StandIn } from './testing/stand-in.ts';
import { carnet } from './testing/terminal.ts';

const proof = {
  carnet: 'proof',
  v: 1,
  accused: 'csp-b.example',
  audience: 'csp-a.example',
  code: 'LEDGER_FORK',
  statement: 'AAAA',
  accusedEvents: ['AAAA', 'BBBB'],
  audienceEvents: [],
};
let broker: StandIn;
beforeAll(async () => {
  broker = await openStandIn();
}, 60_000);
afterAll(() => broker.close());

const taken = (...args: readonly string[]) => carnet(['peer', 'proof', 'csp-b.example', ...args], broker.configHome);

it('is written to a file once, for its owner to show, and the way to judge it said', async () => {
  broker.script({ 'GET /v1/peers/csp-b.example/proof': { json: proof } });
  const file = join(broker.configHome, 'proof.json');
  const { exit, out, err } = await taken('--out', file);
  expect([exit, out]).toEqual([0, '']);
  expect(err).toContain(`${file}: LEDGER_FORK of csp-b.example; \`carnet-audit proof ${file}`);
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(proof);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(await taken('--out', file)).toMatchObject({ exit: 2, err: expect.stringContaining('EEXIST') });
});

it('is the same on stdout for programs, and a few words for people', async () => {
  broker.script({ 'GET /v1/peers/csp-b.example/proof': { json: proof } });
  expect(JSON.parse((await taken()).out)).toEqual(proof);
  expect((await taken('-f', 'table')).out).toMatchInlineSnapshot(`
    "accused                 csp-b.example
    audience                csp-a.example
    code                    LEDGER_FORK
    events of the accused   2
    events of the audience  0
    acknowledged            no
    "
  `);
});

it('there is none: it says so in words, and ends as refused', async () => {
  const text = 'nothing is kept that convicts csp-b.example';
  broker.script({ 'GET /v1/peers/csp-b.example/proof': { status: 404, json: { code: 'PROOF_NONE', text } } });
  expect(await taken()).toEqual({
    exit: 5,
    out: '',
    err: `carnet: PROOF_NONE: ${text}\n  carnet error PROOF_NONE says more.\n`,
  });
});
