import { Tooltip } from '@patternfly/react-core';
import { short } from './amounts.ts';

/** A digest or id: its first digits, the whole on hover, and in what a row opens. */
export function Identity({ id }: { readonly id: string }) {
  return (
    <Tooltip content={<span className="carnet-mono carnet-break">{id}</span>} maxWidth="34rem">
      <span className="carnet-mono">{short(id)}</span>
    </Tooltip>
  );
}

/** `<home domain>/<uuid>`: the domain is told in full, since two homes may hold equal beginnings. */
export function VmName({ vm }: { readonly vm: string }) {
  const [home = '', uuid = ''] = vm.split('/');
  return (
    <Tooltip content={<span className="carnet-mono carnet-break">{vm}</span>} maxWidth="34rem">
      <span>
        <span className="carnet-mono">{short(uuid)}</span> <span className="carnet-quiet carnet-nowrap">{home}</span>
      </span>
    </Tooltip>
  );
}

/** A line may break after the arrow and nowhere else. */
export function Direction({ source, target }: { readonly source: string; readonly target: string }) {
  return (
    <>
      <span className="carnet-nowrap">{source} →</span> <span className="carnet-nowrap">{target}</span>
    </>
  );
}
