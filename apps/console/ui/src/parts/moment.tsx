import { Tooltip } from '@patternfly/react-core';
import { absolute, ago } from './amounts.ts';
import { useNow } from './now.ts';

/** A relative time; the absolute one on hover. It takes no focus: a table would have more stops than rows. */
export function Moment({ time }: { readonly time: string }) {
  const now = useNow();
  return (
    <Tooltip content={absolute(time)}>
      <time dateTime={time} className="carnet-nowrap">
        {ago(time, now)}
      </time>
    </Tooltip>
  );
}
