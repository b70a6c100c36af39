import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { peer, peering } from './testing/samples.ts';
import { openStandIn, type StandIn } from './testing/stand-in.ts';
import { carnet } from './testing/terminal.ts';

const INVITATION = 'carnet-invite-1.c2VjcmV0.0a0b0c0d';
let broker: StandIn;
beforeAll(async () => {
  broker = await openStandIn();
}, 60_000);
afterAll(() => broker.close());

describe('peer join', () => {
  it('reads the invitation from stdin or a file, never from an argument, and shows it nowhere', async () => {
    broker.script({ 'POST /v1/peerings': { json: peering } });
    const file = join(broker.configHome, 'invitation');
    writeFileSync(file, `${INVITATION}\n`);
    for (const args of [
      ['peer', 'join'],
      ['peer', 'join', '--file', '-'],
      ['peer', 'join', '--file', file],
    ]) {
      const { exit, out, err } = await carnet([...args, '--data-paths', '192.0.2.0/24'], broker.configHome, {
        stdin: `${INVITATION}\n`,
      });
      expect([exit, out + err]).toEqual([0, expect.stringContaining(peering.code)]);
      expect(out + err).not.toContain('c2VjcmV0');
      expect(broker.seen.at(-1)?.body).toEqual({ invitation: `${INVITATION}\n`, dataPaths: ['192.0.2.0/24'] });
    }
    expect((await carnet(['peer', 'join', INVITATION], broker.configHome)).exit).toBe(2);
    expect((await carnet(['peer', 'join', '--file', '/nowhere/at/all'], broker.configHome)).exit).toBe(2);
  });
});

describe('peer show', () => {
  it('has the code and both fingerprints of a peer by invitation', async () => {
    const waiting = { ...peer, domain: peering.domain, state: 'unconfirmed', origin: 'invitation' };
    broker.script({ 'GET /v1/peers': { json: { items: [peer, waiting] } }, 'GET /v1/peerings': { json: { items: [peering] } } });
    const { out } = await carnet(['peer', 'show', peering.domain, '-f', 'table'], broker.configHome);
    for (const word of [peering.code, 'confirmed-here', 'unconfirmed', 'its authority', 'our authority', peering.confirmedBy])
      expect(out).toContain(word);
    const configured = await carnet(['peer', 'show', peer.domain, '-f', 'json'], broker.configHome);
    expect(JSON.parse(configured.out)).toEqual(peer);
  });
});
