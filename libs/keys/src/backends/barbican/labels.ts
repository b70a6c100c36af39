import type { Handover } from '../../context.ts';
import type { KeyRecord } from '../../records/holding.ts';
import type { Holding } from '../../vault/hierarchy.ts';
import type { Labels } from './client.ts';

/** What names a secret in Barbican: whose holding of which key. Public words only: names and metadata are stored in the clear there. */
export const secretName = (holder: string, { key, version, arrival }: Holding): string =>
  `carnet:${holder}:${key}:v${version}:e${arrival}`;

/** By these a secret is known as ours; its name alone is anyone's to use. */
export const identityLabels = (holder: string, { key, version, arrival }: Holding): Labels => ({
  'carnet-holder': holder,
  'carnet-key': key,
  'carnet-version': String(version),
  'carnet-epoch': String(arrival),
});

/** Is this the metadata of that holding? */
export const isOf = (labels: Readonly<Record<string, unknown>>, holder: string, holding: Holding): boolean =>
  Object.entries(identityLabels(holder, holding)).every(([name, value]) => labels[name] === value);

/** Of a key that is arriving, before its release is committed here. */
export const originLabels = ({ migration, source, intent, offer, agreed }: Handover): Labels => ({
  'carnet-migration': migration,
  'carnet-source': source,
  'carnet-intent': intent,
  'carnet-offer': offer,
  'carnet-agreed': agreed,
});

/** Of a key that is held: what it opens, for whom, and the digests of the events that brought it. */
export function recordLabels(holder: string, record: KeyRecord): Labels {
  const { provenance, vm } = record;
  return {
    ...identityLabels(holder, record),
    'carnet-tenant': record.tenant,
    'carnet-artifact': record.artifact,
    'carnet-kind': record.kind,
    'carnet-derivation': record.derivation,
    'carnet-state': record.state,
    ...(vm === undefined ? {} : { 'carnet-vm': vm }),
    ...(provenance === undefined
      ? {}
      : {
          'carnet-migration': provenance.migration,
          'carnet-source': provenance.source,
          'carnet-intent': provenance.intent,
          'carnet-offer': provenance.offer,
          'carnet-agreed': provenance.agreed,
          'carnet-deposit': provenance.deposit,
          'carnet-release': provenance.release,
        }),
  };
}
