import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fold } from './history.ts';
import { STORIES } from './stories.ts';

/** Records the stories that have no file yet: `node test/histories/record.ts`. What is recorded is never written again. */
for (const [name, tell] of Object.entries(STORIES)) {
  const file = join(import.meta.dirname, `${name}.golden.json`);
  const events = tell();
  if (!existsSync(file)) writeFileSync(file, `${JSON.stringify({ ...fold(events), events }, undefined, 1)}\n`);
}
