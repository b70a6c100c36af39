import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually, repositoryRoot } from '@carnet/dev';
import { connectNats } from '@carnet/journal';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { beforeAll, describe, expect, it } from 'vitest';
import { contextText } from '../../infra/dev/src/clouds/config-text.ts';
import { CSP_A, CSP_B, HOST } from '../../infra/dev/src/clouds/layout.ts';
import type { Cloud } from '../faults/harness/cloud.ts';
import { busAddress } from '../faults/harness/clouds.ts';
import { createVm, intend, settled } from '../faults/harness/moves.ts';
import { clouds, run, truthOf } from './rig.ts';

type Heard = { readonly subject: string; readonly data: Uint8Array; readonly by: string };
const taped: Heard[] = [];

/** Every message that is not an event: commands to both hosts, their reports, and what the brokers tell each other. */
async function tape(): Promise<() => Promise<void>> {
  const connections = await Promise.all(
    [CSP_A, CSP_B].map(async ({ domain }) => {
      const connection = await connectNats(busAddress(clouds.pki, clouds.bus, domain, 'broker'));
      const other = domain === CSP_A.domain ? CSP_B.domain : CSP_A.domain;
      const peer = `peer.${other.replaceAll('.', '_')}.${domain.replaceAll('.', '_')}`;
      for (const subject of ['host.>', peer])
        connection.subscribe(subject, {
          callback: (error, message) => {
            // What a CSP hears from its peer, the peer said: it is replayed as the peer.
            const by = message.subject.startsWith('peer.') ? other : domain;
            if (error === null) taped.push({ subject: message.subject, data: message.data, by });
          },
        });
      await connection.flush();
      return connection;
    }),
  );
  return async () => {
    for (const connection of connections) await connection.close();
  };
}

const both = (): Promise<readonly unknown[]> => Promise.all([clouds.a, clouds.b].map(truthOf));

describe('replay resistance', () => {
  beforeAll(async () => {
    const stop = await tape();
    const { a, b } = clouds;
    await settled(clouds, await intend(a, b, await createVm(a), 'suspend'), 60_000);
    await stop();
  });

  it('every command, report and word between brokers of a whole run, said again: zero changes', async () => {
    const kinds = new Set(
      taped.map(({ subject }) => subject.split('.').slice(0, 1).concat(subject.split('.').slice(2, 3)).join(' ')),
    );
    expect([...kinds]).toEqual(expect.arrayContaining(['host command', 'host report', expect.stringMatching(/^peer/)]));
    const before = await both();
    for (const { domain } of [CSP_A, CSP_B]) {
      const connection = await connectNats(busAddress(clouds.pki, clouds.bus, domain, 'broker'));
      for (const { subject, data, by } of taped) {
        if (by !== domain) continue;
        // A command is asked, so that its answer tells that the host has judged it.
        if (subject === `host.${HOST}.command`) await connection.request(subject, data, { timeout: 10_000 });
        else connection.publish(subject, data);
      }
      await connection.flush();
      await connection.close();
    }
    expect(await both()).toEqual(before);
  });

  it('every event of both ledgers, put on the bus again by its own operator: zero changes', async () => {
    const before = await both();
    const connection = await connectNats(busAddress(clouds.pki, clouds.bus, 'bus', 'operator'));
    const manager = await jetstreamManager(connection);
    let count = 0;
    for (const [publisher, audience] of [
      ['csp-a_example', 'csp-b_example'],
      ['csp-b_example', 'csp-a_example'],
    ] as const) {
      const stream = `fed-${publisher}-${audience}`;
      const { last_seq: last } = (await manager.streams.info(stream)).state;
      for (let seq = 1; seq <= last; seq++) {
        const message = await manager.streams.getMessage(stream, { seq });
        if (message === null) continue;
        await jetstream(connection).publish(message.subject, message.data);
        count += 1;
      }
      await eventually('all judged', async () => {
        const { num_pending, num_ack_pending } = await manager.consumers.info(stream, audience);
        return num_pending + num_ack_pending === 0 ? true : undefined;
      });
    }
    await connection.close();
    expect(count).toBeGreaterThan(30);
    expect(await both()).toEqual(before);
  });
});

const audit = (...args: readonly string[]) =>
  spawnSync(process.execPath, [join(repositoryRoot, 'apps/audit/src/main.ts'), ...args], { encoding: 'utf8' });

describe('source non-repudiation', () => {
  const exported = ({ plan, paths, facts }: Cloud): string => {
    const [context, file] = [join(paths.home, 'auditor.toml'), join(paths.home, 'export.jsonl')];
    writeFileSync(context, contextText({ plan, paths, ports: facts.ports }, 'auditor'));
    expect(audit('export', '--context', context, '--out', file).status).toBe(0);
    return file;
  };
  const verify = (...files: readonly string[]) =>
    audit('verify', ...files, '--root', join(clouds.pki, 'root.pem'), '--crls', join(clouds.pki, 'crls'), '--json');

  it('an auditor with public keys only proves who asked, and nobody can make it say another', () => {
    const files = [exported(clouds.a), exported(clouds.b)];
    const verified = verify(...files);
    expect(verified.status).toBe(0);
    const [said] = readFileSync(files[0] ?? '', 'utf8')
      .split('\n')
      .flatMap((line) => intentOf(line) ?? []);
    expect(said?.data.request).toMatchObject({ via: 'signature', principal: 'spiffe://csp-a.example/scheduler' });
    // The same ledger with another name for who asked, at both sides alike.
    const forged = files.map((file) => {
      const other = `${file}.forged`;
      writeFileSync(other, renamed(readFileSync(file, 'utf8')));
      return other;
    });
    const refuted = verify(...forged);
    expect(refuted.status).toBe(3);
    expect(refuted.stdout).toMatch(/SIGNATURE_INVALID|REQUEST_REFUSED/);
  });
});

type Intent = { readonly type: string; readonly migration: string; readonly data: { readonly request: unknown } };
const decoded = (base64: string): string => Buffer.from(base64, 'base64').toString('utf8');
const encoded = (text: string): string => Buffer.from(text).toString('base64');

/** The intent of the recorded run, if this line of an export is it. */
function intentOf(line: string): Intent | undefined {
  const { envelope } = line === '' ? {} : JSON.parse(line);
  if (envelope === undefined) return undefined;
  const event: Intent = JSON.parse(decoded(JSON.parse(decoded(envelope)).payload));
  return event.type === 'MigrationIntended' && event.migration === run.migration ? event : undefined;
}

/** The same export, in which that intent names another one who asked. */
const renamed = (text: string): string =>
  text
    .split('\n')
    .map((line) => {
      if (intentOf(line) === undefined) return line;
      const entry = JSON.parse(line);
      const envelope = JSON.parse(decoded(entry.envelope));
      const payload = encoded(decoded(envelope.payload).replace('csp-a.example/scheduler', 'csp-a.example/operator'));
      return JSON.stringify({ ...entry, envelope: encoded(JSON.stringify({ ...envelope, payload })) });
    })
    .join('\n');
