const STORED = 'carnet-token';

/**
 * The access token of the console's start: from the link that the server printed, else kept from before. `localStorage`
 * belongs to this very port; a cookie would also be sent to whatever else listens on this address.
 */
export function takeToken(location: Location, storage: Storage): string | undefined {
  const given = /^#token=([\w-]{20,128})$/.exec(location.hash)?.[1];
  if (given === undefined) return storage.getItem(STORED) ?? undefined;
  storage.setItem(STORED, given);
  // Out of the address bar and the history before anybody copies or photographs it.
  history.replaceState(null, '', '#/migrations');
  return given;
}
