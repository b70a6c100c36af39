import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { openBrowser } from './chromium.ts';

export interface DoubtExpectations {
  /** A release without an answer, and what else has been told of the broken one. */
  readonly doubtful: string;
  readonly broken: string;
  /** By name, in the order in which they are added; with the last all have signed. */
  readonly files: Readonly<Record<string, string>>;
  /** The copy is given up while the page is looked at. */
  readonly discard: () => void;
  readonly screenshots: string;
}

const WAIT_MS = 15_000;

/** What an operator sees of a release in doubt, which statements are at hand, and how a glass was broken. Gives what the page complained of. */
export async function checkDoubt(url: string, expected: DoubtExpectations): Promise<readonly string[]> {
  mkdirSync(expected.screenshots, { recursive: true });
  const browser = await openBrowser();
  try {
    const page = await browser.newPage({ viewport: { width: 1_280, height: 2_000 } });
    page.setDefaultTimeout(WAIT_MS);
    const complaints: string[] = [];
    page.on('pageerror', (error) => complaints.push(`page: ${error.message}`));
    page.on('console', (message) => message.type() === 'error' && complaints.push(`console: ${message.text()}`));
    const shoot = (name: string) => page.screenshot({ path: join(expected.screenshots, `${name}.png`), fullPage: true });

    await page.goto(url);
    await page.locator(`a[href="#/migrations/${expected.doubtful}/events"]`).click();
    await inDoubt(page, expected.doubtful);
    await shoot('doubt');
    await statements(page, expected.files, shoot);

    await page.goto(`${new URL(page.url()).origin}/#/migrations/${expected.broken}/events`);
    await broken(page);
    await shoot('glass-broken');
    expected.discard();
    await panel(page).getByText('Discarded by spiffe://csp-b.example/operator/olga').waitFor();
    await shoot('glass-discarded');

    await page.setViewportSize({ width: 800, height: 2_000 });
    await page.emulateMedia({ colorScheme: 'dark' });
    await page.goto(`${new URL(page.url()).origin}/#/migrations/${expected.doubtful}/events`);
    await page.getByRole('heading', { name: /In doubt/ }).waitFor();
    await shoot('doubt-narrow-dark');
    return complaints;
  } finally {
    await browser.close();
  }
}

const panel = (page: Page) => page.getByRole('region', { name: 'Doubt' });

async function inDoubt(page: Page, migration: string): Promise<void> {
  const doubt = panel(page);
  await doubt.getByRole('heading', { name: 'In doubt: the key is released, and nobody has taken the VM' }).waitFor();
  for (const words of [
    'The source cannot know whether it runs there',
    '2026-11-23 11:00:00.000 UTC',
    'csp-b.example must import the keys, or give the VM back',
    'neither side has run the VM by the ledgers for',
    'two operators of csp-a.example and the VM’s owner may break the glass',
    'Starting the VM at the source, by hand',
    '2 operators of csp-a.example',
    'the VM’s owner, key ',
    `carnet migration break-glass resume ${migration}`,
  ])
    await doubt.getByText(words).first().waitFor();
}

async function statements(
  page: Page,
  files: DoubtExpectations['files'],
  shoot: (name: string) => Promise<unknown>,
): Promise<void> {
  const all = Object.entries(files).map(([name, text]) => ({ name, mimeType: 'application/json', buffer: Buffer.from(text) }));
  const choose = page.getByLabel('Statements at hand:');
  await choose.setInputFiles(all.slice(0, 2));
  const rows = page.getByRole('grid', { name: 'Statements at hand' }).locator('tbody tr');
  await rows.filter({ hasText: 'anna.json' }).getByText('yes', { exact: true }).waitFor();
  await rows.filter({ hasText: 'ben-of-the-move-before' }).getByText('no: is about another epoch').waitFor();
  await page.getByText(/^1 operator of csp-a\.example, other than spiffe:\/\/csp-a\.example\/operator\/anna/).waitFor();
  await shoot('doubt-statements');
  await choose.setInputFiles(all);
  await page.getByText('All have signed whose word it takes.').waitFor();
}

async function broken(page: Page): Promise<void> {
  const doubt = panel(page);
  await doubt
    .getByRole('heading', { name: /^.*The glass was broken: csp-a\.example took the VM back, and a stopped copy waits/ })
    .waitFor();
  const rows = doubt.getByRole('grid', { name: 'Who broke the glass' }).locator('tbody tr');
  for (const name of ['anna', 'ben'])
    await rows
      .filter({ hasText: `spiffe://csp-a.example/operator/${name}` })
      .getByText('break-glass (set version 1)')
      .waitFor();
  await rows.filter({ hasText: 'the owner, key' }).getByText('my lawyer saw the ruins').waitFor();
  for (const words of [
    'Epoch 2 is open at csp-a.example',
    'The VM runs there again since',
    'Fenced: csp-b.example has stopped its copy',
    'both ran the VM',
  ])
    await doubt.getByText(words).first().waitFor();
}
