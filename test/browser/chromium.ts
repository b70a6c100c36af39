import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

const EXECUTABLE = '/usr/bin/chromium';

/** Nothing but the page: no updates, no sync, no calls home. */
const FLAGS = [
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Debian's Chromium, headless. Fails with what installs it. */
export async function openBrowser(): Promise<Browser> {
  if (!existsSync(EXECUTABLE))
    throw new Error('Chromium is missing; install it: apt-get install -y --no-install-recommends chromium');
  // Root has no user namespace sandbox to enter; ordinary users keep theirs.
  const sandbox = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  return chromium.launch({ executablePath: EXECUTABLE, headless: true, args: [...FLAGS, ...sandbox] });
}
