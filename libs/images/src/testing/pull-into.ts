import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { type PullRequest, pullArtifact } from '../pull.ts';
import { accept } from './accept.ts';

// A receiver as a process of its own: `node pull-into.ts REQUEST.json` prints the outcome's code.
const parsed = z
  .custom<Omit<PullRequest, 'verifyPeer'>>((value) => typeof value === 'object')
  .parse(JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')));
const outcome = await pullArtifact({ ...parsed, verifyPeer: accept });
process.stdout.write(outcome.ok ? 'ok' : outcome.code);
