import { Banner } from '@patternfly/react-core';
import { useLive } from './live/live.tsx';
import { ago } from './parts/amounts.ts';
import { useNow } from './parts/now.ts';

/** Says that what is shown may be old, how old, and why. */
export function StaleBanner() {
  const { connection, health } = useLive();
  const now = useNow();
  if (connection !== 'stale') return null;
  const heard = health?.heardAt === undefined ? 'never' : ago(health.heardAt, now);
  const why =
    health?.state === 'stale' && health.text !== undefined ? ` ${health.text}.` : ' The console itself does not answer.';
  return (
    <Banner status="warning" role="status" className="carnet-banner">
      <strong>Data is stale.</strong> The broker last answered {heard}.{why}
    </Banner>
  );
}
