import { intentRequest, PAYLOAD_TYPES } from '@carnet/events';
import { leafSigner } from '@carnet/pki';
import { sha256Hex, signEnvelope } from '@carnet/trust';
import { EXIT, VerbError } from '../exit.ts';
import type { RequestRow } from '../rows-policy.ts';
import { answered, type World } from '../world.ts';
import { identityOf, startedColumns } from './wish.ts';

// Loaded by `approve` alone, as `wish.ts` is by those who ask.

interface Items {
  readonly items: readonly RequestRow[];
}
interface Taken {
  readonly migration: string;
  readonly digest: string;
  readonly repeated: boolean;
}

/**
 * Says yes to exactly what the broker shows of the request. Whoever holds a certificate signs that: peer and auditor then need not take
 * the broker's word for it.
 */
export async function approve(migration: string, world: World): Promise<void> {
  const broker = await world.broker();
  const row = answered(await broker.get<Items>('/v1/requests')).items.find((one) => one.migration === migration);
  if (row === undefined)
    throw new VerbError(EXIT.refused, 'APPROVAL_UNKNOWN', `no request ${migration} waits for a second person`);
  const { vm, target, mode } = row.request;
  world.streams.err(`${row.principal} asked to move ${vm} to ${target}, ${mode}\n`);
  const identity = identityOf(await world.context());
  const signed = identity === undefined ? {} : { signed: signatureOf(row, identity) };
  const path = `/v1/requests/${encodeURIComponent(migration)}/approve`;
  const { digest, repeated } = answered(await broker.post<Taken>(path, signed));
  await world.show({ id: migration, digest, repeated }, startedColumns);
}

function signatureOf({ request }: RequestRow, { keyPem, leaf }: { readonly keyPem: string; readonly leaf: Uint8Array }): object {
  const content = sha256Hex(Buffer.from(JSON.stringify(intentRequest.parse(request))));
  const statement = Buffer.from(JSON.stringify({ approves: 'migration', request: content }));
  const envelope = signEnvelope(PAYLOAD_TYPES.approval, statement, leafSigner(keyPem, leaf));
  return { envelope: JSON.parse(Buffer.from(envelope).toString()), certificate: Buffer.from(leaf).toString('base64') };
}
