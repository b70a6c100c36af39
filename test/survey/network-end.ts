// One end of the data path as an agent has it, in whatever network namespace it is started: network-end.ts FILE, where FILE is JSON.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { artifactId, epoch, migrationId, sealedArtifact, timestamp, vmId } from '@carnet/events';
import * as images from '@carnet/images';
import { loadLeaf, openLeaf, openTrustFiles } from '@carnet/pki';
import { z } from 'zod';
import { systemClock } from '../../apps/agent/src/clock.ts';
import { openDataPath } from '../../apps/agent/src/data-path.ts';

const path = z.string();
const identity = z.strictObject({ certificateFile: path, keyFile: path });
const end = z.strictObject({
  does: z.enum(['serve', 'pull']),
  dir: path,
  pki: path,
  own: identity,
  peer: identity,
  network: z.strictObject({ interface: z.string().optional(), address: z.string(), port: z.int(), serverName: z.string() }),
  image: path,
  into: path,
});

const { does, dir, pki, own, peer, network, image, into } = end.parse(JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')));
const say = (what: object): void => void process.stdout.write(`${JSON.stringify(what)}\n`);
const log = { debug: () => undefined, info: say, warn: say, error: say };
mkdirSync(dir, { recursive: true });
const store = openTrustFiles(
  { rootFile: `${pki}/root.pem`, crlDirectories: [`${pki}/crls`], marksFile: `${dir}/marks.json` },
  Date.now,
);
const of = {
  migration: migrationId.parse('01890000-0000-7000-8000-000000000000'),
  vm: vmId.parse('csp-a.example/6b1f0c9e-0000-4000-8000-000000000001'),
  epoch: epoch.parse(1),
  round: 0,
};
const opened = await openDataPath({
  identity: openLeaf(own, Date.now),
  store,
  now: () => systemClock.now(),
  dataPath: network,
  sharesDir: dir,
  log,
});
if (does === 'serve') {
  const artifact = artifactId.parse('6b1f0c9e-0000-4000-8000-000000000002');
  const sealed = await images.seal(image, { ...of, artifact, kind: 'disk', chunkBytes: 65_536 });
  if (!sealed.ok) throw new Error(sealed.code);
  const until = timestamp.parse(new Date(Date.now() + 600_000).toISOString());
  await opened.serve({ of, artifacts: [{ sealed: sealed.value.sealed, path: image }], peer: [...loadLeaf(peer).chain], until });
  writeFileSync(`${into}.sealed`, JSON.stringify({ sealed: sealed.value.sealed, from: await opened.dataPath() }));
  say({ ready: true });
} else {
  const told = JSON.parse(readFileSync(`${into}.sealed`, 'utf8'));
  const pulled = await opened.pull({
    of,
    sealed: sealedArtifact.parse(told.sealed),
    from: told.from,
    peer: loadLeaf(peer).chain,
    into,
    rateBytesPerSecond: undefined,
    onProgress: () => undefined,
    signal: AbortSignal.timeout(20_000),
  });
  say(pulled.ok ? { ok: true } : { ok: false, code: pulled.setback.code });
  await opened.close();
}
