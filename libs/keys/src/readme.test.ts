import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { begin, digestOfData, inlineProcess, openSide, rootsOf, someDigest } from './testing/two-sides.ts';

it('the example of the README runs', async () => {
  const [source, target] = [await openSide({ process: inlineProcess() }), await openSide({ process: inlineProcess() })];
  const story = await begin(source, target);
  const { handover, kem, keys, disks } = story;
  const { migration, epoch } = handover;
  const roots = rootsOf(story);
  const [ready, sealed, verified] = [someDigest(), someDigest(), someDigest()];
  const a = source.keys;
  const b = target.keys;
  const atA = source.store.db.transaction();
  const atB = target.store.db.transaction();
  const eventOf = (data: unknown) => digestOfData(data);

  // example
  const deposit = await a.deposit({ handover, kem, keys }); // sealed in a child process, not yet committed
  if (!deposit.ok) throw new Error(deposit.code);
  const deposited = await atA.execute((tx) => deposit.value.record(tx)); // beside the event: journal.append(…, tx => …)
  if (!deposited.ok) throw new Error(deposited.code);

  const received = { digest: eventOf(deposited.value), data: deposited.value };
  const answer = await b.acknowledge({ handover, deposit: received, artifacts: disks });
  if (!answer.ok) throw new Error(answer.code);
  const confirmed = await atB.execute((tx) => answer.value.record(tx));
  if (!confirmed.ok) throw new Error(confirmed.code);

  const acknowledged = { digest: eventOf(confirmed.value), data: confirmed.value };
  const mac = await a.confirmAcknowledgement({ migration, epoch, deposit: received.digest, acknowledged });
  if (!mac.ok) throw new Error(mac.code);
  await atA.execute((tx) => mac.value.record(tx));

  const cites = { ready, sealed, verified, deposit: received.digest, acknowledged: acknowledged.digest, roots };
  const release = await a.release({ migration, epoch, ...cites });
  if (!release.ok) throw new Error(release.code);
  const released = await atA.execute((tx) => release.value.record(tx)); // from here A's keys are suspended
  if (!released.ok) throw new Error(released.code);

  const event = { digest: eventOf(released.value), data: released.value };
  const opened = await b.openRelease({ migration, epoch, release: event, acknowledged: acknowledged.digest, roots });
  if (!opened.ok) throw new Error(opened.code); // → b.discard and MigrationRelinquished
  await atB.execute((tx) => opened.value.record(tx)); // now a trial unlock on the host: b.sealForHost({ purpose: 'trial-unlock', … })
  const imported = await atB.execute((tx) => b.importKeys(tx, { migration, epoch, release: event.digest }));
  // end of example

  expect(imported).toMatchObject({ ok: true, value: { release: event.digest } });
  await Promise.all([source.close(), target.close()]);
}, 60_000);

it('and is the one that the README shows', () => {
  const test = readFileSync(join(import.meta.dirname, 'readme.test.ts'), 'utf8');
  const shown = /\/\/ example\n([\s\S]*?)\n *\/\/ end of example/.exec(test)?.[1]?.replaceAll(/^ {2}/gm, '');
  expect(readFileSync(join(import.meta.dirname, '..', 'README.md'), 'utf8')).toContain(`\`\`\`ts\n${shown}\n\`\`\``);
});
