import { createContext, type ReactNode, useContext, useMemo } from 'react';
import { ledgerEntry, rows } from '../live/rows.ts';
import { useResource } from '../live/use-resource.ts';
import { type KnownKey, knownKeys } from './verify.ts';

const KnownKeysContext = createContext<readonly KnownKey[]>([]);
const keyEvents = rows(ledgerEntry);

/** Every page checks signatures with the same keys: those that ledgers announced, as far as the console has read. */
export function KnownKeysProvider({ children }: { readonly children: ReactNode }) {
  const { value } = useResource('/key-events', keyEvents);
  const keys = useMemo(() => knownKeys(value?.items ?? []), [value]);
  return <KnownKeysContext value={keys}>{children}</KnownKeysContext>;
}

export const useKnownKeys = (): readonly KnownKey[] => useContext(KnownKeysContext);
