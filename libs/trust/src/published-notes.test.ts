import { describe, expect, it } from 'vitest';
import { decodeCheckpoint, encodeCheckpoint } from './checkpoint.ts';
import { openCosignatures } from './cosignature.ts';
import { keyHint, NOTE_ALGORITHM, type NoteAlgorithm, type NoteKey, openNote } from './note.ts';

// Notes that others signed and published, with their keys: what verifies here was made by no code of ours.

/** `name+hint+base64(algorithm ‖ key)`, as c2sp.org/signed-note writes a key down. */
function keyOf(text: string, algorithm: NoteAlgorithm): NoteKey {
  const [name = '', hint = ''] = text.split('+', 2);
  const [kind, ...publicKey] = Buffer.from(text.slice(`${name}+${hint}+`.length), 'base64');
  const key = { name, publicKey: Uint8Array.from(publicKey) };
  expect([kind, Buffer.from(keyHint(key, algorithm)).toString('hex')]).toEqual([algorithm, hint]);
  return key;
}
const logKey = (text: string): NoteKey => keyOf(text, NOTE_ALGORITHM.ed25519);
const witnessKey = (text: string): NoteKey => keyOf(text, NOTE_ALGORITHM.cosignature);
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** The example of c2sp.org/signed-note (github.com/C2SP/C2SP, signed-note.md, “Example”). */
const SPECIFICATION = {
  key: 'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k',
  note: `This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
`,
};

/**
 * Go's checksum database on 10 January 2023, with two signatures of a witness under test, whose key is not given
 * (github.com/google/trillian-examples, witness/golang/cmd/addrwitness/README.md). The key: cmd/go of Go itself.
 */
const GO_SUM = {
  key: 'sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8',
  note: `go.sum database tree
15081221
BoMMe1wd25Tco0mYGROkyqxHZWx+hcSCtMV315Lu6Lg=

— sum.golang.org Az3grilD7vQqTrv66jRgKM84Y80KTprrSt4bKmiOPxgmS5ZVBTeCl6dUvjYnN13R+C8j0jGY1WnUADGMkok3U0m2Zgo=
— test.example.com qTGhC3917mAr6hGh+T55tNjxaej/D/GQivJZRIj7XGdAcQOTqfMWIPgp/v/904LEduN/h2sSRtHUJXUL4b9Gm7Bz4Qc=
— test.example.com /Pa7Y/dUvWMAAAAAQVwkQVi81ArPV7BIaQYrMIxyzY0m8a4BdeeBhSKd3PviPK4/3Sd+NKSc5N7PDTCfAkUSVniN+R2oKIggA4iiDQ==
`,
};

/**
 * A certificate log of transparency.dev in May 2026, cosigned by four witnesses; the log's first line is of another algorithm
 * (github.com/florolf/tlog-scales, tests/test_signing.py, with the keys of the log and of remora). The keys of the other two witnesses: as
 * public monitors of them pin them; their hints, too, are those of the note.
 */
const CERTIFICATES = {
  key: 'arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f',
  witnesses: [
    'witness1.smartit.nu/witness1+a48c820f+BPSFWg9G6KPiO7QPryYO5Xq4oYJJ+kAvLKLSimDhoxMO',
    'remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2',
    'witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv',
  ],
  time: 1_779_573_024,
  note: `arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

— arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=
— arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
— transparency.dev/DEV:witness-little-garden 2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==
— witness1.smartit.nu/witness1 pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcxZ75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==
— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
— witness.stagemole.eu Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==
`,
};

describe('notes and checkpoints of others', () => {
  it('verify: the example of the specification', () => {
    const opened = openNote(bytes(SPECIFICATION.note), [logKey(SPECIFICATION.key)]);
    expect(opened).toEqual({ ok: true, value: { text: 'This is an example message.\n', signers: ['example.com/foo'] } });
  });

  it.each([
    ['Go’s checksum database', GO_SUM, { origin: 'go.sum database tree', size: 15_081_221 }],
    ['a certificate log', CERTIFICATES, { origin: 'arche2025h1.staging.ct.transparency.dev', size: 1_432_088_532 }],
  ])('verify, are read, and are written as they were: %s', (_, { key, note }, head) => {
    const opened = openNote(bytes(note), [logKey(key)]);
    if (!opened.ok) throw new Error(opened.code);
    const checkpoint = decodeCheckpoint(opened.value.text);
    expect(checkpoint).toMatchObject({ ok: true, value: head });
    expect(checkpoint.ok && encodeCheckpoint(checkpoint.value)).toBe(opened.value.text);
  });

  it.each([SPECIFICATION, GO_SUM, CERTIFICATES])('no longer verify with one changed letter: $key', ({ key, note }) => {
    const changed = note.replace(/[a-z]/, (letter) => (letter === 'z' ? 'y' : 'z'));
    expect(openNote(bytes(changed), [logKey(key)])).toMatchObject({ ok: false, code: 'SIGNATURE_INVALID' });
  });
});

describe('cosignatures of others', () => {
  const witnesses = CERTIFICATES.witnesses.map(witnessKey);

  it('verify, and say when', () => {
    expect(openCosignatures(bytes(CERTIFICATES.note), witnesses)).toEqual({
      ok: true,
      value: witnesses.map(({ name }) => ({ name, time: CERTIFICATES.time })),
    });
  });

  it.each(CERTIFICATES.witnesses)('are of this checkpoint alone: %s', (witness) => {
    const larger = CERTIFICATES.note.replace('1432088532', '1432088533');
    expect(openCosignatures(bytes(larger), [witnessKey(witness)])).toMatchObject({ code: 'SIGNATURE_INVALID' });
  });

  it('are no signatures of the log, and the log’s is none of them', () => {
    expect(openNote(bytes(CERTIFICATES.note), witnesses)).toMatchObject({ code: 'SIGNER_UNKNOWN' });
    expect(openCosignatures(bytes(CERTIFICATES.note), [logKey(CERTIFICATES.key)])).toMatchObject({ code: 'SIGNER_UNKNOWN' });
  });
});
