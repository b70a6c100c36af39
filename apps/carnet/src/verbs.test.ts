import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  apiKey,
  certificate,
  checkpoint,
  DIGEST,
  detail,
  diagnosis,
  ended,
  entry,
  host,
  image,
  invitation,
  key,
  keyDetail,
  keyUse,
  MIGRATION,
  migration,
  peer,
  peering,
  plan,
  policy,
  policySet,
  request,
  VM,
  vm,
} from './testing/samples.ts';
import { custodian, drill, ESCROW, escrow, recovery } from './testing/samples-escrow.ts';
import { openStandIn, type Reply, type Script, type Seen, type StandIn } from './testing/stand-in.ts';
import { carnet, type Settings } from './testing/terminal.ts';

let broker: StandIn;
beforeAll(async () => {
  broker = await openStandIn();
}, 60_000);
afterAll(() => broker.close());

const type = (line: string, settings?: Settings) => carnet(line.split(' '), broker.configHome, settings);
const items = (...rows: readonly object[]) => ({ json: { items: rows } });
const refused = (status: number, code: string) => ({ status, json: { code, text: 'because' } });
const detailPath = `GET /v1/migrations/${MIGRATION}`;
const accepted = { json: { migration: MIGRATION, digest: DIGEST, repeated: false } };

/** Each verb: what answers, what is asked, what is seen. */
const VERBS: readonly [line: string, script: Script, seen: string | RegExp, asked?: object][] = [
  ['key escrow list -f table', { 'GET /v1/escrows': items(escrow) }, '2 of 1'],
  ['key escrow custodians', { 'GET /v1/custodians': items(custodian) }, 'custodian/anna'],
  [
    `key escrow show ${ESCROW} -f table`,
    { [`GET /v1/escrows/${ESCROW}`]: { json: escrow } },
    'failed spiffe://csp-a.example/custodian/anna',
  ],
  [
    `key escrow create ${ESCROW} --threshold 2 --custodian a b --reason why`,
    { 'POST /v1/escrows': { json: escrow } },
    'current',
    { key: ESCROW, threshold: 2, custodians: ['a', 'b'], reason: 'why' },
  ],
  [
    `key escrow drill ${ESCROW} --reason why`,
    { [`POST /v1/escrows/${ESCROW}/drills`]: { json: drill } },
    'concluded',
    { reason: 'why' },
  ],
  [`key escrow conclude ${ESCROW}`, { [`POST /v1/drills/${ESCROW}/conclude`]: { json: drill } }, 'custodian/anna', {}],
  [
    `key escrow request ${ESCROW} --reason why`,
    { [`GET /v1/escrows/${ESCROW}`]: { json: escrow }, 'POST /v1/recoveries': { json: recovery } },
    'spoken to Olga',
  ],
  [`key escrow recover ${ESCROW}`, { [`POST /v1/recoveries/${ESCROW}/recover`]: { json: recovery } }, 'open', {}],
  [
    `migration plan ${VM} --to csp-b.example --mode cold`,
    { 'POST /v1/plans': { json: plan } },
    'publish the intent',
    { data: { mode: 'cold' } },
  ],
  [
    `migration start ${VM} --to csp-b.example`,
    { 'POST /v1/intents': accepted },
    DIGEST,
    { type: 'dev.carnet.migration.signed-intent.v1' },
  ],
  [
    `migration start ${VM} --to csp-b.example --context scheduler --reason why`,
    { 'POST /v1/intents': accepted },
    DIGEST,
    { type: 'dev.carnet.migration.intent.v1', data: { reason: 'why' } },
  ],
  [
    `migration start ${VM} --to csp-b.example --id ${MIGRATION} --wait`,
    { 'POST /v1/intents': accepted, [detailPath]: { json: ended('done') }, 'GET /v1/events': items(entry(1)) },
    'MigrationIntended',
  ],
  [
    `migration doctor ${MIGRATION} -f table`,
    { [`GET /v1/migrations/${MIGRATION}/diagnosis`]: { json: diagnosis } },
    /who acts +csp-b\.example must import the keys, or give the VM back\n[\s\S]*IN_DOUBT: .*\n[\s\S]*NOT safe +Starting/,
  ],
  ['event checkpoints', { 'GET /v1/checkpoints': items(checkpoint) }, '"size": 7'],
  [
    'event checkpoints --of csp-a.example',
    { 'GET /v1/checkpoints': items(checkpoint) },
    /^csp-a.example\/ledger\/csp-b.example\n7\n/,
  ],
  ['migration requests', { 'GET /v1/requests': items(request) }, 'spiffe://csp-a.example/scheduler'],
  [
    `migration approve ${MIGRATION}`,
    { 'GET /v1/requests': items(request), [`POST /v1/requests/${MIGRATION}/approve`]: accepted },
    DIGEST,
  ],
  ['policy list', { 'GET /v1/policies': items(policySet) }, 'cedar 4.13.0'],
  ['policy show', { 'GET /v1/policy': { json: policy } }, 'cold-only'],
  ['policy schema', {}, 'entity Vm in [Project]'],
  [
    `vm restrict ${VM} --project p --label b --label a --level 2 --jurisdictions EU,DE --no-onward`,
    { [`POST /v1/vms/${VM}/restrictions`]: { json: vm } },
    VM,
    { project: 'p', labels: ['a', 'b'], level: 2, jurisdictions: ['DE', 'EU'], onward: false },
  ],
  [`vm restrict ${VM} --jurisdictions any`, { [`POST /v1/vms/${VM}/restrictions`]: { json: vm } }, VM, { jurisdictions: null }],
  [`vm hold ${VM}`, { [`POST /v1/vms/${VM}/restrictions`]: { json: vm } }, VM, { legalHold: true }],
  [`vm release ${VM}`, { [`POST /v1/vms/${VM}/restrictions`]: { json: vm } }, VM, { legalHold: false }],
  ['migration list', { 'GET /v1/migrations': items(migration) }, MIGRATION],
  [
    'migration list --open --limit 5',
    { 'GET /v1/migrations': ({ path }) => (path.includes('open=true') && path.includes('limit=5') ? items(migration) : items()) },
    MIGRATION,
  ],
  [
    `migration list --vm ${VM}`,
    { 'GET /v1/migrations': ({ path }) => (path.includes(encodeURIComponent(VM)) ? items(migration) : items()) },
    MIGRATION,
  ],
  [`migration show ${MIGRATION}`, { [detailPath]: { json: detail } }, 'SealImage'],
  [
    `migration watch ${MIGRATION}`,
    { [detailPath]: { json: ended('done') }, 'GET /v1/events': items(entry(1), entry(2)) },
    'MigrationOffered',
  ],
  ['apikey list', { 'GET /v1/apikeys': items(apiKey) }, 'nightly'],
  [`apikey revoke ${apiKey.id}`, { [`DELETE /v1/apikeys/${apiKey.id}`]: { json: apiKey } }, 'nightly'],
  [`migration wait ${MIGRATION} --timeout 5`, { [detailPath]: { json: ended('done') } }, '"outcome": "done"'],
  [
    `migration cancel ${MIGRATION} --reason enough`,
    { [`POST /v1/migrations/${MIGRATION}/cancel`]: { json: { digest: DIGEST } } },
    DIGEST,
    { text: 'enough' },
  ],
  [`migration events ${MIGRATION}`, { 'GET /v1/events': items(entry(1)) }, 'MigrationIntended'],
  ['key list', { 'GET /v1/keys': items(key) }, 'migrated'],
  [
    'key list --all -f table',
    {
      'GET /v1/keys': ({ path }) => (path.includes('former=true') ? items(key, { ...key, arrival: 0, current: false }) : items()),
    },
    /epoch 2 .*latest\n.*made here .*former/,
  ],
  [`key show ${key.key}`, { [`GET /v1/keys/${key.key}`]: { json: keyDetail } }, 'imported'],
  [
    `key show ${key.key} -f table`,
    { [`GET /v1/keys/${key.key}`]: { json: keyDetail } },
    /holdings +epoch 2, migrated, active since .* \(latest\)\n +made here, generated, destroyed since .* \(former\)/,
  ],
  [
    `migration plan ${VM} --to csp-b.example --mode cold -f table`,
    { 'POST /v1/plans': { json: plan } },
    /policy there +unknown: csp-b.example is asked when the migration starts\n.*as their host reports them\nstop +~11.5 s: 3.0 MiB at 2.0 MiB\/s, .*measured on 2 finished moves with csp-b.example of up to 4.0 MiB/,
  ],
  [
    `migration plan ${VM} --to csp-b.example -f table`,
    {
      'POST /v1/plans': {
        json: {
          ...plan,
          stopSeconds: 0,
          basis: { ...plan.basis, state: 'shutoff' },
          warnings: [{ code: 'VM_NOT_RUNNING', text: 'the VM is shutoff' }],
        },
      },
    },
    /stop +none: the VM is shutoff\nwarnings +VM_NOT_RUNNING: the VM is shutoff/,
  ],
  [
    `key suspend ${key.key} --reason audit`,
    { [`POST /v1/keys/${key.key}/suspend`]: { json: keyDetail } },
    'active',
    { reason: 'audit', code: 'unspecified' },
  ],
  [
    `key compromise ${key.key} --reason lost`,
    { [`POST /v1/keys/${key.key}/compromise`]: { json: { ...keyDetail, state: 'compromised' } } },
    'compromised',
    { reason: 'lost', code: 'key-compromise' },
  ],
  [
    `key destroy ${key.key} --reason old --code privilege-withdrawn --yes`,
    { [`POST /v1/keys/${key.key}/destroy`]: { json: keyDetail } },
    'migrated',
    { reason: 'old', code: 'privilege-withdrawn' },
  ],
  [`key uses ${key.key}`, { [`GET /v1/keys/${key.key}/uses`]: items(keyUse) }, 'VM_START'],
  ['key uses --verify', { 'GET /v1/key-uses/verdict': { json: { intact: true, uses: 4, head: DIGEST } } }, DIGEST],
  ['key rotate shop --reason yearly', { 'POST /v1/projects/shop/rotations': rotating }, '"left": 0', { reason: 'yearly' }],
  ['peer list', { 'GET /v1/peers': items(peer) }, 'csp-b.example'],
  ['peer show csp-b.example', { 'GET /v1/peers': items(peer), 'GET /v1/peerings': items(peering) }, DIGEST],
  ['peer invitations', { 'GET /v1/invitations': items(invitation) }, 'csp-c.example'],
  [
    'peer invite csp-c.example --hours 2 --data-paths 192.0.2.0/24,2001:db8::/32',
    { 'POST /v1/invitations': { json: { ...invitation, invitation: 'carnet-invite-1.x.y' } } },
    'carnet-invite-1.x.y',
    { domain: 'csp-c.example', hours: 2, dataPaths: ['192.0.2.0/24', '2001:db8::/32'] },
  ],
  [
    `peer uninvite ${invitation.id}`,
    { [`DELETE /v1/invitations/${invitation.id}`]: { json: { ...invitation, state: 'revoked' } } },
    'revoked',
  ],
  ['peer join', { 'POST /v1/peerings': { json: peering } }, peering.code, { invitation: '', dataPaths: [] }],
  [
    'peer confirm csp-c.example --code 00000-11111',
    { 'POST /v1/peerings/csp-c.example/confirm': { json: peering } },
    'confirmed-here',
    { code: '00000-11111' },
  ],
  ['peer remove csp-c.example', { 'DELETE /v1/peerings/csp-c.example': { json: { domain: 'csp-c.example' } } }, 'csp-c.example'],
  [
    'peer remove csp-c.example --unheard',
    {
      'DELETE /v1/peerings/csp-c.example': ({ path }) => ({
        json: { domain: path.endsWith('?unheard=true') ? 'csp-c.example' : '' },
      }),
    },
    'csp-c.example',
  ],
  ['cert list', { 'GET /v1/certificates': items(certificate) }, 'peer-issuer'],
  ['cert show csp-b.example', { 'GET /v1/certificates': items(certificate) }, 'good'],
  ['host list', { 'GET /v1/hosts': items(host) }, '9.0.0'],
  ['image list', { 'GET /v1/images': items(image) }, 'tiny'],
  ['image show tiny', { 'GET /v1/images': items(image) }, DIGEST],
  ['image register tiny tiny.raw', { 'POST /v1/images': { json: image } }, 'tiny', { name: 'tiny', file: 'tiny.raw' }],
  [
    'image verify tiny',
    { 'POST /v1/images/tiny/verify': { json: { name: 'tiny', digest: DIGEST, verified: true } } },
    '"verified": true',
  ],
  ['vm list', { 'GET /v1/vms': items(vm) }, VM],
  ['vm show one', { 'GET /v1/vms': items(vm) }, VM],
  [
    'vm create one --image tiny --memory 64 --stopped',
    { 'POST /v1/vms': { json: vm } },
    VM,
    { name: 'one', image: 'tiny', vcpus: 1, memoryMiB: 64, boot: { kind: 'disk' }, start: false },
  ],
  [
    `vm create one --capacity 4096 --memory 64 --kernel ${DIGEST} --initrd ${DIGEST}`,
    { 'POST /v1/vms': { json: vm } },
    VM,
    { capacityBytes: 4096, boot: { kind: 'kernel', kernel: DIGEST }, start: true },
  ],
  [`vm start ${VM}`, { [`POST /v1/vms/${VM}/on`]: { json: vm } }, VM],
  [`vm stop ${VM}`, { [`POST /v1/vms/${VM}/off`]: { json: vm } }, VM],
  [`vm delete ${VM} --yes`, { [`DELETE /v1/vms/${VM}`]: { json: { vm: VM } } }, VM],
  [`event get ${DIGEST}`, { [`GET /v1/events/${DIGEST}`]: { json: entry(1) } }, 'MigrationIntended'],
  [`event get ${DIGEST} --envelope`, { [`GET /v1/events/${DIGEST}`]: { json: entry(1) } }, /^\{"payload":""\}$/],
  ['audit verify one.ndjson --strict', {}, '{"verb":"verify","rest":["one.ndjson","--strict"]}'],
  ['audit verify one.ndjson -f json --context other', {}, '["one.ndjson","--json","--context","other"]'],
  ['audit verify --context one --context two', {}, '["--context","one","--context","two"]'],
  ['audit proof p.json -f json --context one', {}, '{"verb":"proof","rest":["p.json","--json","--context","one"]}'],
  ['audit export --peer csp-b.example', {}, '"verb":"export"'],
  ['context show', {}, 'broker.csp-a.example'],
  ['context list', {}, '"scheduler"'],
  ['context path --context other', {}, /carnet\/other\.toml\n$/],
  ['error VM_UNKNOWN', {}, 'carnet vm list'],
  ['error', {}, 'UNREACHABLE'],
  ['completion', {}, 'complete -F _carnet carnet'],
];

describe('every verb', () => {
  it('carnet key rotate goes on with the rotation that it began, until none is left', async () => {
    broker.script({ 'POST /v1/projects/shop/rotations': rotating });
    const { exit } = await type('key rotate shop --reason yearly');
    expect(exit).toBe(0);
    expect(broker.seen.map(({ body }) => body)).toEqual([{ reason: 'yearly' }, { reason: 'yearly', version: 2 }]);
  });

  it.each(VERBS)('carnet %s', async (line, script, seen, asked) => {
    broker.script(script);
    const { exit, out, err } = await type(line);
    expect(exit, err).toBe(0);
    if (typeof seen === 'string') expect(out).toContain(seen);
    else expect(out).toMatch(seen);
    if (asked !== undefined) expect(broker.seen[0]?.body).toMatchObject(asked);
  });
});

/** A rotation of two batches: what is asked for by version is its second. */
function rotating({ body }: Seen): Reply {
  const isSecond = typeof body === 'object' && body !== null && 'version' in body;
  const batch = isSecond
    ? { deks: 700, left: 0, done: true, destroyed: [1] }
    : { deks: 500, left: 200, done: false, destroyed: [] };
  return { json: { project: 'shop', version: 2, secrets: 0, outside: 0, ...batch } };
}
const stuck = { project: 'shop', version: 2, deks: 0, secrets: 0, outside: 0, left: 3, done: false, destroyed: [] };

describe('exit codes', () => {
  const start = `migration start ${VM} --to csp-b.example --context scheduler`;
  it.each<[string, string, Script, number, string]>([
    ['a broker that failed', 'key list', { 'GET /v1/keys': refused(500, 'INTERNAL') }, 1, 'INTERNAL'],
    [
      'a chain of key uses that is broken',
      'key uses --verify',
      { 'GET /v1/key-uses/verdict': { json: { intact: false, uses: 4, head: DIGEST, brokenAt: 2 } } },
      3,
      'KEY_USES_BROKEN',
    ],
    [
      'a rotation that does not get on',
      'key rotate shop --reason yearly',
      { 'POST /v1/projects/shop/rotations': { json: stuck } },
      1,
      'ROTATION_INCOMPLETE',
    ],
    [
      'a key in use',
      `key destroy ${key.key} --reason old --yes`,
      { [`POST /v1/keys/${key.key}/destroy`]: refused(409, 'KEY_IN_USE') },
      5,
      'KEY_IN_USE',
    ],
    ['a key change without a reason', `key suspend ${key.key}`, {}, 2, '--reason'],
    ['an unknown verb', 'key lsit', {}, 2, 'unknown command'],
    ['an unknown option', 'key list --nosuch', {}, 2, 'unknown option'],
    ['an unknown format', 'key list -f xml', {}, 2, 'Allowed choices'],
    ['an unknown column', 'key list -f table -c value', { 'GET /v1/keys': items() }, 2, 'COLUMN_UNKNOWN'],
    ['no context', 'key list --context none', {}, 2, 'CONTEXT_MISSING'],
    ['a bad context', 'key list --context broken', {}, 2, 'CONTEXT_INVALID'],
    ['a number that is none', 'vm create one --memory lots', {}, 2, 'ARGUMENT_INVALID'],
    ['a VM that would be another path', 'vm start ../../keys', {}, 2, 'ARGUMENT_INVALID'],
    ['a deletion without --yes', `vm delete ${VM}`, {}, 2, '--yes'],
    ['a wish that is not well formed', 'migration start one --to csp-b.example', {}, 2, 'PARAMETER_INVALID'],
    ['an unknown code', 'error NO_SUCH', {}, 2, 'CODE_UNKNOWN'],
    [
      'an image that was changed',
      'image verify tiny',
      { 'POST /v1/images/tiny/verify': { json: { name: 'tiny', digest: DIGEST, verified: false } } },
      3,
      'IMAGE_TAMPERED',
    ],
    [
      'a wait that is over',
      `migration wait ${MIGRATION} --timeout 0.01`,
      { [detailPath]: { json: detail } },
      4,
      'WAIT_TIMED_OUT',
    ],
    ['a refusal by policy', start, { 'POST /v1/intents': refused(403, 'POLICY_DENIES') }, 5, 'POLICY_DENIES'],
    [
      'a plan that policy denies',
      `migration plan ${VM} --to csp-b.example`,
      { 'POST /v1/plans': { json: { ...plan, policy: { ...plan.policy, source: { allowed: false, reasons: [] } } } } },
      5,
      'POLICY_DENIES',
    ],
    [
      'a migration that the peer refused',
      `migration wait ${MIGRATION}`,
      { [detailPath]: { json: ended('refused', [{ code: 'NO_ROOM', text: 'full' }]) } },
      5,
      'NO_ROOM: full',
    ],
    [
      'a peer that is not there',
      'peer show csp-z.example',
      { 'GET /v1/peers': items(peer), 'GET /v1/peerings': items(peering) },
      5,
      'PEER_UNKNOWN',
    ],
    [
      'a migration that was rolled back',
      `migration wait ${MIGRATION}`,
      { [detailPath]: { json: ended('rolled-back') } },
      6,
      'MIGRATION_ROLLED_BACK',
    ],
    [
      'a migration that was withdrawn',
      `migration watch ${MIGRATION}`,
      { [detailPath]: { json: ended('withdrawn') }, 'GET /v1/events': items() },
      6,
      'MIGRATION_ROLLED_BACK',
    ],
    [
      'a broker without its database',
      'vm list',
      { 'GET /v1/vms': refused(503, 'DATABASE_UNAVAILABLE') },
      7,
      'DATABASE_UNAVAILABLE',
    ],
    [
      'a start whose fate the database took along',
      start,
      { 'POST /v1/intents': refused(503, 'DATABASE_UNAVAILABLE') },
      7,
      'Asking again is safe with: --id',
    ],
    [
      'a broker that has heard no host yet',
      `vm stop ${VM}`,
      { [`POST /v1/vms/${VM}/off`]: refused(503, 'HOSTS_NOT_HEARD_YET') },
      7,
      'ask again',
    ],
    ['an unknown verb', 'migration nosuch', {}, 2, 'carnet: USAGE: unknown command'],
    ['an unknown verb says where to look', 'migration nosuch', {}, 2, '`carnet migration --help` shows what it takes'],
    ['a broker that is not there', 'vm stop a/b --context nobody', {}, 7, 'UNREACHABLE'],
    ['what is no broker', 'key list', { 'GET /v1/keys': { json: 7 } }, 7, 'ANSWER_MALFORMED'],
    ['a follower without the role', 'event follow', { 'GET /v1/follow': refused(403, 'ROLE_MISSING') }, 5, 'ROLE_MISSING'],
  ])('%s', async (_, line, script, exit, said) => {
    broker.script(script);
    const result = await type(line);
    expect(result.err + result.out).toContain(said);
    expect(result.exit).toBe(exit);
  });

  it.each([
    [0, 0],
    [1, 1],
    [2, 2],
    [3, 3],
    [9, 1],
  ])('an auditor that ends with %i: %i', async (theirs, ours) => {
    expect((await type('audit verify x', { environment: { AUDITOR_EXIT: String(theirs) } })).exit).toBe(ours);
  });

  it('a start without an answer says how to ask again safely', async () => {
    broker.script({ 'POST /v1/intents': 'cut' });
    const { exit, err } = await type(start);
    expect(exit).toBe(7);
    const id = /--id ([0-9a-f-]{36})/.exec(err)?.[1];
    expect(broker.seen.length).toBe(4);
    for (const { body } of broker.seen) expect(body).toMatchObject({ id });
  });
});
