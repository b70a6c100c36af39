import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Federation, repositoryRoot, startFederation, stopEverything } from '@carnet/dev';
import { type BrokerClient, connectBroker } from '@carnet/publisher';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { checkConsole } from './check-console.ts';
import { type ConsoleProcess, startConsoleProcess } from './console-process.ts';

/** Emulated guests beside other tests. */
const MOVE_MS_MAX = 120_000;
const LOOK_MS = 200;

let federation: Federation;
let broker: BrokerClient;
let served: ConsoleProcess;

const pki = (name: string): string => join(federation.a.paths.pki, name);

beforeAll(async () => {
  execFileSync('npm', ['run', 'build', '-w', 'apps/console'], { cwd: repositoryRoot, stdio: 'pipe' });
  federation = await startFederation();
  const { a } = federation;
  const [certificate, key, ca] = ['operator.pem', 'operator.key', 'root.pem'].map((name) => readFileSync(pki(name), 'utf8'));
  const url = `https://127.0.0.1:${a.ports.http}`;
  const serverName = `broker.${a.plan.domain}`;
  broker = connectBroker({
    url,
    serverName,
    ca: ca ?? '',
    credentials: { kind: 'certificate', certificate: certificate ?? '', key: key ?? '' },
  });
  const config = join(federation.root, 'console.toml');
  const files = { rootFile: pki('root.pem'), certificateFile: pki('auditor.pem'), keyFile: pki('auditor.key') };
  writeFileSync(
    config,
    `listen = { port = 0 }\n[broker]\nurl = "${url}"\nserverName = "${serverName}"\n${Object.entries(files)
      .map(([name, path]) => `${name} = "${path}"\n`)
      .join('')}`,
  );
  served = await startConsoleProcess(config);
}, 180_000);

afterAll(async () => {
  await served?.stop();
  broker?.close();
  await stopEverything();
});

const asked = async <T>(answer: ReturnType<BrokerClient['get']>): Promise<T> => {
  const settled = await answer;
  if (!settled.ok) throw new Error(`${settled.code}: ${settled.text}`);
  return settled.value as T;
};

/** A whole cold migration of a stopped VM between two real hosts: nothing of what the page shows is recorded. */
async function moveVm(): Promise<string> {
  const { guest, b } = federation;
  const boot = { kind: 'kernel', kernel: guest.kernelSha256, initrd: guest.initrdSha256, cmdline: guest.commandLine };
  const created = await asked<{ readonly vm: string }>(
    broker.post('/v1/vms', { name: 'shown', capacityBytes: 16_777_216, memoryMiB: 256, boot, start: false }),
  );
  const migration = '01932c07-0000-7000-8000-0000000000aa';
  await asked(
    broker.post('/v1/intents', {
      specversion: '1.0',
      id: '1',
      source: 'test',
      type: 'dev.carnet.migration.intent.v1',
      data: { migration, vm: created.vm, target: b.plan.domain, mode: 'cold' },
    }),
  );
  for (let waited = 0; waited < MOVE_MS_MAX; waited += LOOK_MS) {
    const { ended, outcome } = await asked<{ readonly ended: boolean; readonly outcome: string }>(
      broker.get(`/v1/migrations/${migration}`),
    );
    if (ended) {
      expect(outcome).toBe('done');
      return migration;
    }
    await sleep(LOOK_MS);
  }
  throw new Error('the migration has not ended');
}

it(
  'shows a real migration, every signature verified in the browser',
  async () => {
    const id = await moveVm();
    const { items } = await asked<{ readonly items: readonly { readonly type: string; readonly publisher: string }[] }>(
      broker.get(`/v1/events?migration=${id}`),
    );
    const events = items.map(({ type, publisher }) => ({ type, publisher }));
    expect(events.at(-1)?.type).toBe('SourceRetired');
    const seen = await checkConsole(served.url, {
      domain: federation.a.plan.domain,
      migrations: 1,
      migration: { id, outcome: 'done', events },
      screenshots: join(repositoryRoot, '.carnet/screenshots/real'),
    });
    expect(seen.events.map(({ type, publisher }) => ({ type, publisher }))).toEqual(events);
    expect(seen.events.filter(({ signature }) => !signature.startsWith('Signature checked in this browser'))).toEqual([]);
    expect(seen.complaints).toEqual([]);
  },
  MOVE_MS_MAX + 60_000,
);
