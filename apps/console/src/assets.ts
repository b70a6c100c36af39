import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';

export interface Asset {
  readonly bytes: Buffer;
  readonly type: string;
  readonly cacheControl: string;
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.woff2': 'font/woff2',
};

/** Names under `assets/` carry a hash of their content. */
const cacheControlOf = (path: string): string =>
  path.startsWith('assets/') ? 'public, max-age=31536000, immutable' : 'no-cache';

/** The built UI is not there. */
export class UiNotBuilt extends Error {
  override readonly name = 'UiNotBuilt';
}

/**
 * The built UI, read once: a request can only name a file that was there at the start, so no path leads out of it.
 * Files of unknown kinds are left out.
 * @throws UiNotBuilt
 */
export function readAssets(directory: string): ReadonlyMap<string, Asset> {
  const assets = new Map<string, Asset>();
  for (const path of listed(directory)) {
    const type = TYPES[extname(path)];
    if (type === undefined) continue;
    const asset: Asset = { bytes: readFileSync(join(directory, path)), type, cacheControl: cacheControlOf(path) };
    assets.set(path === 'index.html' ? '/' : `/${path}`, asset);
  }
  if (!assets.has('/')) throw new UiNotBuilt(`${directory} holds no built UI; build it: npm run build -w apps/console`);
  return assets;
}

function listed(directory: string): readonly string[] {
  try {
    return readdirSync(directory, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1));
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return [];
    throw cause;
  }
}
