import { generateKeyPairSync } from 'node:crypto';
import { PAYLOAD_TYPES } from '@carnet/events';
import { COMMAND_BYTES_MAX, hostCommand } from '@carnet/hypervisor';
import { ed25519Signer, ed25519Verifier, signEnvelope } from '@carnet/trust';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openCommand } from './commands.ts';

const keys = generateKeyPairSync('ed25519');
const signer = ed25519Signer(keys.privateKey);
const stranger = ed25519Signer(generateKeyPairSync('ed25519').privateKey);
const raw = Buffer.from(keys.publicKey.export({ format: 'der', type: 'spki' })).subarray(-32);
// The envelope's rules do not depend on the kind of key: Ed25519 stands for the broker's RSA leaf.
const brokerKeys = (keyid: string) => (keyid === signer.keyid ? ed25519Verifier(raw) : undefined);

const command = hostCommand.parse({
  id: '00000000-0000-4000-8000-000000000001',
  host: 'a1',
  deadline: '2030-01-01T00:00:00.000Z',
  step: 'inspect',
  vm: 'csp-a.example/33333333-3333-4333-8333-333333333333',
  body: {},
});
const payload = Buffer.from(JSON.stringify(command));
const open = (bytes: Uint8Array) => openCommand(bytes, brokerKeys);

describe('a command from the bus', () => {
  it('opens when the broker signed it', () => {
    expect(open(signEnvelope(PAYLOAD_TYPES.command, payload, signer))).toMatchObject({ command });
  });

  it.each<[string, Uint8Array, string]>([
    ['of a stranger', signEnvelope(PAYLOAD_TYPES.command, payload, stranger), 'NOT_SIGNED_BY_BROKER'],
    ['signed as something else', signEnvelope(PAYLOAD_TYPES.event, payload, signer), 'NOT_SIGNED_BY_BROKER'],
    [
      'with a doubled key',
      signEnvelope(PAYLOAD_TYPES.command, Buffer.from('{"step":"inspect","step":"inspect"}'), signer),
      'JSON',
    ],
    ['that is none', signEnvelope(PAYLOAD_TYPES.command, Buffer.from('{"step":"explode"}'), signer), 'SCHEMA'],
    ['without end', Buffer.alloc(4 * COMMAND_BYTES_MAX, 0x20), 'TOO_LARGE'],
    ['of noise', Buffer.from('noise'), 'NOT_SIGNED_BY_BROKER'],
  ])('is rejected: %s', (_, bytes, rejected) => {
    expect(open(bytes)).toEqual({ rejected });
  });

  it('is rejected after any change of a byte', () => {
    const bytes = signEnvelope(PAYLOAD_TYPES.command, payload, signer);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: bytes.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const changed = Uint8Array.from(bytes);
        changed[at] = (changed[at] ?? 0) ^ flip;
        expect(open(changed)).toHaveProperty('rejected');
      }),
    );
  });
});
