import { sameBytes, type Wiper } from '../../bytes.ts';
import { KEY_BYTES } from '../../limits.ts';
import type { SecretStore } from '../../vault/custody.ts';
import type { Holding, SecretId } from '../../vault/hierarchy.ts';
import { refuse, type VaultResult } from '../../vault/refusal.ts';
import type { BarbicanAddress } from '../custody-spec.ts';
import { type BarbicanClient, barbicanClient, type Found, type Labels } from './client.ts';
import { identityLabels, isOf, originLabels, secretName } from './labels.ts';

/** In the child: DEKs as secrets of a Barbican, each 32 raw bytes of type `symmetric`, as its other users expect them. */
export function barbicanStore(address: BarbicanAddress, token: Uint8Array | undefined): SecretStore {
  const client = barbicanClient(address, token);
  return {
    get: (secret, wipe) => payloadOf(client, secret, wipe),
    put: async (holding, dek, { origin, random, wipe }) => {
      const labels = {
        ...identityLabels(address.holder, holding),
        ...(origin === undefined ? {} : originLabels(origin)),
      };
      const place = await placeOf(client, address, holding, labels);
      if (!place.ok) return place;
      const { secret, filled } = place.value;
      if (!filled) {
        const payload = dek ?? wipe.keep(random(KEY_BYTES));
        const put = await client.fill(secret, payload);
        if (put.ok) return { ok: true, value: { secret, dek: payload } };
        if (put.code !== 'BARBICAN_CONFLICT') return put;
      }
      // An earlier try, or another replica, has filled it: that payload counts, if it is what must be there.
      const there = await payloadOf(client, secret, wipe);
      if (!there.ok) return there;
      if (dek !== undefined && !sameBytes(dek, there.value)) return refuse('BARBICAN_SECRET_DIFFERS');
      return { ok: true, value: { secret, dek: there.value } };
    },
  };
}

/** The secret of this holding, ready to be filled: that of an earlier try, else a new one. Readers are restricted before it has a payload. */
async function placeOf(
  client: BarbicanClient,
  { holder, readers, creator }: BarbicanAddress,
  holding: Holding,
  labels: Labels,
): Promise<VaultResult<Found>> {
  const name = secretName(holder, holding);
  const there = await findOurs(client, name, holder, holding);
  if (!there.ok) return there;
  // Threat: a member of the project plants a key of its own under the id of one that is about to be made.
  const found = there.value.find((one) => one.creator === creator);
  if (found?.filled === true) return { ok: true, value: found };
  const made = found === undefined ? await client.create(name) : { ok: true as const, value: found.secret };
  if (!made.ok) return made;
  const restricted = await client.restrict(made.value, readers);
  if (!restricted.ok) return restricted;
  const labelled = await client.label(made.value, labels);
  return labelled.ok ? { ok: true, value: { secret: made.value, filled: false } } : labelled;
}

/**
 * Secrets of this holding, oldest first. Names may repeat and anyone in the project may use ours, so metadata decides; one without metadata
 * and payload is what a crash between two requests leaves.
 */
export async function findOurs(
  client: BarbicanClient,
  name: string,
  holder: string,
  holding: Holding,
): Promise<VaultResult<readonly Found[]>> {
  const named = await client.find(name);
  if (!named.ok) return named;
  const ours: Found[] = [];
  for (const found of named.value) {
    const labels = await client.labels(found.secret);
    // Between the listing and now another replica may have destroyed it.
    if (!labels.ok && labels.code === 'BARBICAN_SECRET_MISSING') continue;
    if (!labels.ok) return labels;
    const isUnfinished = Object.keys(labels.value).length === 0 && !found.filled;
    if (isUnfinished || isOf(labels.value, holder, holding)) ours.push(found);
  }
  return { ok: true, value: ours };
}

async function payloadOf(client: BarbicanClient, secret: SecretId, wipe: Wiper): Promise<VaultResult<Buffer>> {
  const got = await client.payload(secret);
  if (!got.ok) return got;
  const payload = wipe.keep(got.value);
  return payload.length === KEY_BYTES ? { ok: true, value: payload } : refuse('KEY_UNOPENABLE');
}
