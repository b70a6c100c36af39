import type { Timestamp } from '@carnet/events';
import { summarize } from '@carnet/saga';
import { type MigrationRow, rowsOf } from '@carnet/views';
import { diagnosisRow } from '../../apps/broker/src/service/diagnosis.ts';
import type { Answers } from './scripted-broker.ts';
import { CSP_A, CSP_B, type Entry, type ScriptedLedgers } from './scripted-ledgers.ts';

const HISTORY_START = '2026-11-23T09:00:00.000Z';
const DISK_KEY = '4b4e28ba-2fa1-41d2-883f-0016d3cca427';

/** When the doctor looked: some time after the recorded deadlines. */
const LOOKED_AT = '2026-11-23T13:15:00.000Z' as Timestamp;

/** The API's answers about these ledgers: rows and custody from the fold that brokers use, the rest plausible. */
export function answersOf({ entries, journeys }: ScriptedLedgers): Answers {
  const diagnoses = journeys.flatMap((journey) =>
    journey.migrations.map((m) => [
      `/v1/migrations/${m.id}/diagnosis`,
      diagnosisRow(journey, m, {
        self: CSP_A,
        now: LOOKED_AT,
        peer: undefined,
        hostsSilent: [],
        lastFailure: undefined,
        isGlassUnpermitted: false,
      }),
    ]),
  );
  const details = journeys.flatMap((journey) =>
    journey.migrations.flatMap((m) => {
      const [row] = rowsOf({ ...journey, migrations: [m] });
      const custody = summarize(m).custody.map(({ at, canOpen }) => ({ at, domains: canOpen }));
      return row === undefined
        ? []
        : [{ ...row, ...NOT_REKEYED, custody, owed: [], ...(row.ended ? failureOf(row) : runningOf(row)) }];
    }),
  );
  const rows = journeys.flatMap(rowsOf).toSorted((a, b) => (a.startedAt < b.startedAt ? 1 : -1));
  return {
    '/v1/migrations?limit=1': { items: rows.slice(0, 1) },
    '/v1/migrations?limit=500': { items: rows },
    ...Object.fromEntries(details.map((detail) => [`/v1/migrations/${detail.migration}`, detail])),
    ...Object.fromEntries(
      details.map(({ migration }) => [`/v1/events?migration=${migration}`, { items: eventsOf(entries, migration) }]),
    ),
    ...Object.fromEntries(diagnoses),
    ...INVENTORY,
  };
}

const eventsOf = (entries: readonly Entry[], migration: string): readonly Entry[] =>
  entries.filter((e) => e.migration === migration).map((e) => ({ ...e, cursor: '' }));

const NOT_REKEYED = { rekey: { demanded: 'none', agreed: 'none', volumes: [] }, receipts: [] };

/** A running transfer is told by no ledger. */
const RUNNING = {
  owed: [{ command: 'ReceiveImage', attempt: 1 }],
  progress: { step: 'ReceiveImage', doneBytes: 731_906_048, totalBytes: 2_147_483_648, bytesPerSecond: 94_371_840 },
};

/** While it waits for people or for its peer nothing is transferred. */
const runningOf = ({ phase }: MigrationRow): object =>
  phase === 'released' || phase === 'split-suspected' ? { owed: [] } : RUNNING;

/** What made a side give up, as its broker remembers it. */
const failureOf = ({ outcome, reasons: [reason], updatedAt }: MigrationRow): object =>
  outcome === 'rolled-back' && reason !== undefined ? { lastFailure: { command: 'ImportKeys', ...reason, at: updatedAt } } : {};

const key = (id: string, state: string, origin: string, vm: string) => ({
  key: id,
  version: 1,
  arrival: origin === 'migrated' ? 2 : 0,
  current: true,
  project: 'default',
  kind: 'disk',
  state,
  origin,
  artifact: DISK_KEY.replace('4b', '2b'),
  capacityBytes: 1_073_741_824,
  algorithm: 'LUKS key slot, 256 bit',
  derivation: 'luks-passphrase-hex',
  reportedCompromisedBy: [],
  consumers: state === 'destroyed' ? [] : [`vm:${CSP_A}/${vm}`],
  createdAt: HISTORY_START,
  changedAt: HISTORY_START,
  provenance:
    origin === 'migrated'
      ? ['migration 01932011-0011-7000-8000-000000000000', `source ${CSP_B}`, `deposit ${'5e'.repeat(32)}`]
      : [],
});
/** What is shown when a row is opened. A migrated key was here before, left, and came back. */
const detailOfKey = (row: ReturnType<typeof key>) => ({
  ...row,
  holdings: [row, ...(row.arrival === 0 ? [] : [{ ...row, arrival: 0, origin: 'generated', state: 'destroyed' }])].map(
    ({ arrival, state, origin, createdAt, changedAt }) => ({ arrival, state, origin, createdAt, changedAt }),
  ),
  historyChain: 'intact',
  shared: [],
  reports: [],
  history: [
    {
      arrival: row.arrival,
      state: 'pre-activation',
      at: HISTORY_START,
      actor: `spiffe://${CSP_A}/broker`,
      reason: 'created for a VM',
      digest: '5f'.repeat(32),
    },
    {
      arrival: row.arrival,
      state: row.state,
      at: '2026-11-23T10:02:11.904Z',
      actor: `spiffe://${CSP_A}/broker`,
      reason: row.state === 'suspended' ? 'released to csp-b.example' : 'first use',
      digest: '60'.repeat(32),
    },
  ],
});
const KEYS = [
  key(DISK_KEY, 'active', 'created', '1b4e28ba-2fa1-41d2-883f-0016d3cca427'),
  key('6c4e28ba-2fa1-41d2-883f-0016d3cca427', 'suspended', 'created', '2c4e28ba-2fa1-41d2-883f-0016d3cca427'),
  key('7d4e28ba-2fa1-41d2-883f-0016d3cca427', 'active', 'migrated', '3d4e28ba-2fa1-41d2-883f-0016d3cca427'),
  key('8e4e28ba-2fa1-41d2-883f-0016d3cca427', 'destroyed', 'created', ''),
];

const INVENTORY: Answers = {
  '/v1/keys': { items: KEYS },
  ...Object.fromEntries(KEYS.map((row) => [`/v1/keys/${row.key}`, detailOfKey(row)])),
  '/v1/peers': {
    items: [
      {
        domain: CSP_B,
        origin: 'configuration',
        state: 'ready',
        ownSeq: 31,
        acknowledgedSeq: 31,
        receivedSeq: 28,
        lastHeardAt: HISTORY_START,
        fingerprint: 'd4'.repeat(32),
      },
      { domain: 'csp-c.example', origin: 'invitation', state: 'silent', ownSeq: 4, acknowledgedSeq: 2, receivedSeq: 2 },
    ],
  },
  '/v1/hosts': {
    items: [
      {
        name: 'host-1',
        state: 'up',
        lastHeardAt: HISTORY_START,
        vms: 3,
        memoryMiB: 16_384,
        freeDiskBytes: 81_604_378_624,
        libvirtVersion: '9.0.0',
      },
      { name: 'host-2', state: 'down', vms: 0, memoryMiB: 32_768, freeDiskBytes: 201_604_378_624 },
    ],
  },
};
