import { Alert, Bullseye, EmptyState, EmptyStateBody, Spinner } from '@patternfly/react-core';
import { ExclamationCircleIcon } from '@patternfly/react-icons/dist/esm/icons/exclamation-circle-icon';
import type { ComponentType, ReactNode } from 'react';
import type { Refused } from '../live/ask.ts';
import { useLive } from '../live/live.tsx';
import type { Resource } from '../live/use-resource.ts';

/** Waiting, failed, or there. What was read before stays, under the reason why it is old; the banner says it for the whole page. */
export function ResourceView<T>({
  resource,
  children,
}: {
  readonly resource: Resource<T>;
  readonly children: (value: T) => ReactNode;
}) {
  const { value, failed } = resource;
  const { connection } = useLive();
  if (value === undefined && failed !== undefined) return <Failed failed={failed} />;
  if (value === undefined) {
    return (
      <Bullseye>
        <Spinner aria-label="Reading" />
      </Bullseye>
    );
  }
  return (
    <>
      {failed && connection !== 'stale' && (
        <Alert
          isInline
          variant="warning"
          title="Could not be read again; what you see is older"
          className="carnet-below"
        >{`${failed.code}: ${failed.text}`}</Alert>
      )}
      {children(value)}
    </>
  );
}

function Failed({ failed }: { readonly failed: Refused }) {
  return (
    <EmptyState titleText="Could not be read" headingLevel="h2" icon={ExclamationCircleIcon} status="danger">
      <EmptyStateBody>
        <code>{failed.code}</code>: {failed.text}
      </EmptyStateBody>
    </EmptyState>
  );
}

export function Nothing({ title, text, icon }: { readonly title: string; readonly text: string; readonly icon?: ComponentType }) {
  return (
    <EmptyState titleText={title} headingLevel="h2" {...(icon === undefined ? {} : { icon })}>
      <EmptyStateBody>{text}</EmptyStateBody>
    </EmptyState>
  );
}
