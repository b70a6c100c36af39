import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { openBrowser } from './chromium.ts';

/** What an operator should see. */
export interface ConsoleExpectations {
  /** Trust domain in the masthead. */
  readonly domain: string;
  /** Rows of the list, if the caller knows. */
  readonly migrations?: number;
  /** One of them, opened. */
  readonly migration: {
    readonly id: string;
    readonly outcome: string;
    /** Types in the order of the table, each with its publisher. */
    readonly events: readonly { readonly type: string; readonly publisher: string }[];
  };
  /** Where screenshots are left. */
  readonly screenshots: string;
}

/** What was seen, for the caller's assertions. */
export interface ConsoleSeen {
  readonly events: readonly { readonly type: string; readonly publisher: string; readonly signature: string }[];
  /** Errors of the page, refusals of its policy and failed requests: none is expected. */
  readonly complaints: readonly string[];
  readonly screenshots: readonly string[];
}

const WAIT_MS = 15_000;

/**
 * Opens a running console as an operator would: list, one migration, its events, the state of both sides, keys, peers, hosts; at both
 * widths and in both themes. Throws where something expected does not appear. `url` is what carnet-console printed.
 */
export async function checkConsole(url: string, expected: ConsoleExpectations): Promise<ConsoleSeen> {
  mkdirSync(expected.screenshots, { recursive: true });
  const browser = await openBrowser();
  try {
    const page = await browser.newPage({ viewport: { width: 1_280, height: 1_200 } });
    page.setDefaultTimeout(WAIT_MS);
    const complaints = listen(page);
    const screenshots: string[] = [];
    const shoot = async (name: string): Promise<void> => {
      const path = join(expected.screenshots, `${name}.png`);
      await page.screenshot({ path, fullPage: true });
      screenshots.push(path);
    };

    await page.goto(url);
    await page.getByRole('banner').getByText(expected.domain, { exact: true }).waitFor();
    await page.getByRole('banner').getByText('live', { exact: true }).waitFor();
    await checkList(page, expected);
    await shoot('migrations');
    await page.locator(`a[href="#/migrations/${expected.migration.id}/events"]`).click();
    const events = await readEvents(page, expected.migration.events.length);
    await shoot('events');
    await openFirstEvent(page);
    await shoot('event-open');
    await page.getByRole('tab', { name: 'State' }).click();
    await page.getByRole('grid', { name: 'Custody of the key' }).waitFor();
    await shoot('state');
    for (const name of ['Keys', 'Peers', 'Hosts']) {
      await page.getByRole('link', { name, exact: true }).click();
      await page.getByRole('heading', { name, exact: true }).waitFor();
      await page.locator('tbody tr').first().waitFor();
      if (name === 'Keys') await openFirstKey(page);
      await shoot(name.toLowerCase());
    }
    await narrowAndDark(page, expected, shoot);
    return { events, complaints, screenshots };
  } finally {
    await browser.close();
  }
}

function listen(page: Page): readonly string[] {
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(`page: ${error.message}`));
  page.on('console', (message) => message.type() === 'error' && complaints.push(`console: ${message.text()}`));
  page.on('requestfailed', (request) => {
    // A page that is left cuts its own stream and readings.
    if (request.failure()?.errorText !== 'net::ERR_ABORTED')
      complaints.push(`request: ${request.url()}: ${request.failure()?.errorText}`);
  });
  return complaints;
}

async function checkList(page: Page, { migrations, migration }: ConsoleExpectations): Promise<void> {
  const rows = page.getByRole('grid', { name: 'Migrations' }).locator('tbody tr');
  const row = rows.filter({ has: page.locator(`a[href="#/migrations/${migration.id}/events"]`) });
  await row.getByText(migration.outcome, { exact: true }).waitFor();
  const count = await rows.count();
  if (migrations !== undefined && count !== migrations) throw new Error(`expected ${migrations} migrations, got ${count}`);
  await page.getByLabel('Filter migrations').fill('no such migration');
  await page.getByText('No migration matches').waitFor();
  await page.getByLabel('Filter migrations').fill('');
  await row.waitFor();
}

async function readEvents(page: Page, count: number): Promise<ConsoleSeen['events']> {
  const table = page.getByRole('grid', { name: 'Events' });
  await table
    .locator('td[data-label="Type"]')
    .nth(count - 1)
    .waitFor();
  return Promise.all(
    (await table.locator('tbody').all()).map(async (body) => ({
      type: (await body.locator('td[data-label="Type"]').innerText()).trim(),
      publisher: (await body.locator('td[data-label="Publisher"]').innerText()).trim(),
      signature: (await body.locator('.carnet-signature').getAttribute('aria-label')) ?? '',
    })),
  );
}

async function openFirstEvent(page: Page): Promise<void> {
  // With the keyboard: rows must be reachable without a mouse.
  await page.getByRole('grid', { name: 'Events' }).getByRole('button').first().focus();
  await page.keyboard.press('Enter');
  await page.getByText('"type": "MigrationIntended"').waitFor();
}

async function openFirstKey(page: Page): Promise<void> {
  await page.getByRole('grid', { name: 'Keys' }).getByRole('button').first().click();
  await page.getByRole('grid', { name: 'History of the key' }).locator('td[data-label="State"]').first().waitFor();
}

async function narrowAndDark(
  page: Page,
  { migration }: ConsoleExpectations,
  shoot: (name: string) => Promise<void>,
): Promise<void> {
  await page.setViewportSize({ width: 800, height: 1_200 });
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.goto(`${new URL(page.url()).origin}/#/migrations`);
  await page.getByRole('grid', { name: 'Migrations' }).waitFor();
  await shoot('migrations-narrow-dark');
  await page.goto(`${new URL(page.url()).origin}/#/migrations/${migration.id}/events`);
  await page.getByRole('grid', { name: 'Events' }).waitFor();
  await shoot('events-narrow-dark');
}
