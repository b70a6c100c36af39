import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hostName, trustDomain } from '@carnet/events';
import { createFederationPki } from '@carnet/pki';
import { afterAll, beforeAll, expect, it } from 'vitest';
import * as keyApi from '../../apps/broker/src/http/key-schemas.ts';
import * as api from '../../apps/broker/src/http/schemas.ts';
import { checkConsole } from './check-console.ts';
import { checkDoubt } from './check-doubt.ts';
import { openBrowser } from './chromium.ts';
import { type ConsoleProcess, startConsoleProcess } from './console-process.ts';
import { answersOf } from './scripted-answers.ts';
import { type ScriptedBroker, startScriptedBroker } from './scripted-broker.ts';
import { tellGlass } from './scripted-glass.ts';
import { CSP_A, CSP_B, forged, tellLedgers } from './scripted-ledgers.ts';

const root = join(import.meta.dirname, '../..');
const screenshots = join(root, '.carnet/screenshots');
const dir = mkdtempSync(join(tmpdir(), 'carnet-console-'));

/** Before the recorded deadlines: what is told later than them would be void. */
const START_MS = Date.parse('2026-11-23T08:40:00.000Z');
const MINUTE_MS = 60_000;
const FINISHED = [
  { history: 'cold-to-the-end', label: 'a1', startMs: START_MS },
  { history: 'relinquished-after-verification', label: 'b2', startMs: START_MS + 12 * MINUTE_MS },
  { history: 'withdrawn-when-ready', label: 'c3', startMs: START_MS + 31 * MINUTE_MS },
] as const;
const RUNNING = { history: 'suspend-to-the-end', label: 'd4', startMs: START_MS + 55 * MINUTE_MS } as const;
const ledgers = tellLedgers([...FINISHED, { ...RUNNING, upTo: 8 }]);
const oneLater = tellLedgers([...FINISHED, { ...RUNNING, upTo: 9 }]);
const idOf = (label: string): string => ledgers.entries.find((e) => e.migration?.includes(`0${label}-00`))?.migration ?? '';
const whole = idOf('a1');
const running = idOf('d4');
const withdrawn = idOf('c3');

let broker: ScriptedBroker;
let served: ConsoleProcess;

beforeAll(async () => {
  execFileSync('npm', ['run', 'build', '-w', 'apps/console'], { cwd: root, stdio: 'pipe' });
  const domains = [CSP_A, CSP_B].map((domain) => ({ domain, hosts: [hostName.parse('host-1')] }));
  await createFederationPki({
    dir,
    domains,
    busDomain: trustDomain.parse('bus.example'),
    nowMs: Date.now(),
    random: (n) => randomBytes(n),
  });
  broker = await startScriptedBroker(dir, CSP_A, answersOf(ledgers), ledgers.entries);
  const own = (name: string): string => join(dir, CSP_A, name);
  const config = join(dir, 'console.toml');
  writeFileSync(
    config,
    `listen = { port = 0 }
[broker]
url = "${broker.url}"
serverName = "broker.${CSP_A}"
rootFile = "${join(dir, 'root.pem')}"
certificateFile = "${own('auditor.pem')}"
keyFile = "${own('auditor.key')}"
`,
  );
  served = await startConsoleProcess(config);
});

afterAll(async () => {
  await broker.stop();
  expect(await served.stop()).toBe(0);
  rmSync(dir, { recursive: true });
});

it('is shown what a broker would answer: the stand-in keeps to the schemas of the API', () => {
  const forms = [
    [/^\/v1\/migrations\?/, api.migrationRows],
    [/^\/v1\/migrations\/[^/]*\/diagnosis$/, api.diagnosis],
    [/^\/v1\/migrations\//, api.migrationDetail],
    [/^\/v1\/events\?/, api.ledgerEntries],
    [/^\/v1\/keys$/, keyApi.keyRows],
    [/^\/v1\/keys\//, keyApi.keyDetail],
    [/^\/v1\/peers$/, api.peerRows],
    [/^\/v1\/hosts$/, api.hostRows],
  ] as const;
  const { later } = tellGlass(FINISHED, START_MS + 65 * MINUTE_MS);
  for (const [path, answer] of [oneLater, later].flatMap((told) => Object.entries(answersOf(told)))) {
    const form = forms.find(([pattern]) => pattern.test(path))?.[1];
    expect(form?.safeParse(answer).error?.issues ?? [], path).toEqual([]);
    expect(form, path).toBeDefined();
  }
});

it('prints its token once, and logs it nowhere', () => {
  expect(served.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/#token=[\w-]{43}$/);
  expect(served.log()).toContain('console listens');
  expect(served.log()).not.toContain(served.url.split('=')[1]);
});

it('shows the list, one migration with checked signatures, keys, peers and hosts', async () => {
  const events = ledgers.entries.filter((e) => e.migration === whole).map(({ type, publisher }) => ({ type, publisher }));
  const seen = await checkConsole(served.url, {
    domain: CSP_A,
    migrations: 4,
    migration: { id: whole, outcome: 'done', events },
    screenshots,
  });
  expect(seen.complaints).toEqual([]);
  expect(seen.events.map(({ type, publisher }) => ({ type, publisher }))).toEqual(events);
  expect(seen.events.filter(({ signature }) => !signature.startsWith('Signature checked in this browser'))).toEqual([]);
  expect(broker.requests.filter((request) => !request.startsWith('GET '))).toEqual([]);
});

it('tells an operator in doubt what stands, who must sign, and how a glass was broken', async () => {
  const { ledgers: now, later, ...glass } = tellGlass([...FINISHED, { ...RUNNING, upTo: 8 }], START_MS + 65 * MINUTE_MS);
  broker.answer(answersOf(now));
  const discard = (): void => {
    broker.answer(answersOf(later));
    const last = later.entries.at(-1);
    if (last !== undefined) broker.publish(last);
  };
  const complaints = await checkDoubt(served.url, { ...glass, discard, screenshots });
  broker.answer(answersOf(ledgers));
  expect(complaints).toEqual([]);
  expect(broker.requests.filter((request) => !request.startsWith('GET '))).toEqual([]);
});

it('shows what a lying broker forged, what happens meanwhile, and that data is stale', async () => {
  const path = `/v1/events?migration=${withdrawn}`;
  const mine = ledgers.entries.filter((e) => e.migration === withdrawn);
  broker.answer({ [path]: { items: mine.map((e, i) => (i === 2 ? forged(e) : e)) } });
  const browser = await openBrowser();
  try {
    const page = await browser.newPage({ viewport: { width: 1_280, height: 1_200 } });
    await page.goto(served.url);
    await page.locator(`a[href="#/migrations/${withdrawn}/events"]`).click();
    await page.getByRole('img', { name: 'Signature refused, SIGNATURE_INVALID' }).waitFor();
    await page.screenshot({ path: join(screenshots, 'forged.png'), fullPage: true });

    await page.goto(`${new URL(served.url).origin}/#/migrations/${running}/events`);
    const types = page.locator('td[data-label="Type"]');
    await types.nth(7).waitFor();
    broker.answer(answersOf(oneLater));
    const later = oneLater.entries.at(-1);
    if (later !== undefined) broker.publish(later);
    await types.nth(8).waitFor({ timeout: 5_000 });
    await page.getByText('verified', { exact: true }).waitFor({ timeout: 5_000 });
    await page.screenshot({ path: join(screenshots, 'running.png'), fullPage: true });

    await broker.stop();
    await page.getByText('Data is stale.').waitFor({ timeout: 30_000 });
    await page.screenshot({ path: join(screenshots, 'stale.png'), fullPage: true });
  } finally {
    await browser.close();
    broker = await startScriptedBroker(dir, CSP_A, {}, []);
  }
});
