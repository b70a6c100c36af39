/** Why an export was not brought into a database. The database is then as it was. For `carnet error CODE`. */
export const IMPORT_CODES = {
  IMPORT_OTHER_CSP: {
    text: 'The export is of another CSP.',
    advice: 'Ledgers come from an export that this CSP’s own broker wrote. The peer gives back the rest by itself.',
  },
  IMPORT_PEER_UNCONFIGURED: {
    text: 'The export has a ledger with a peer that this configuration does not name.',
    advice:
      'Add it to `peers` of the configuration, also if it came by invitation: it is asked before anything new is said. Only if it was removed, or is gone for good: `--former DOMAIN`.',
  },
  IMPORT_DATABASE_USED: {
    text: 'The database holds something already.',
    advice: 'Import into an empty one. If this is a restored database, start the broker: it asks its peers by itself.',
  },
  IMPORT_EVENT_REFUSED: {
    text: 'An event of the export is not what its ledger admits here: it was altered, left out or put elsewhere.',
    advice: 'Take another export, or an older one: what is missing comes back from the peers.',
  },
  IMPORT_CAUSE_MISSING: {
    text: 'An event of ours relies on one of the peer that the export does not hold.',
    advice: 'The end of the peer’s ledger was cut off: take another export, or an older one.',
  },
  IMPORT_CHECKPOINT_CONTRADICTED: {
    text: 'A checkpoint that both CSPs signed says more than the ledgers of the export hold, or something else.',
    advice: 'The export was cut or altered: take another one, or an older one.',
  },
  IMPORT_HEADS_CONTRADICTED: {
    text: 'The head file has another event at a position than the export.',
    advice:
      'One of both is not of this CSP’s ledger as it was told. Do not start the broker: find out which, with `carnet-audit verify` and the peer’s export.',
  },
  IMPORT_HEADS_BEYOND: {
    text: 'This CSP has told events that are neither in the export nor in its head file.',
    advice:
      'Look for a newer export first. Without one, `--accept-behind`: the broker stays quarantined until the peer or the bus has given them back.',
  },
} as const satisfies Readonly<Record<string, { readonly text: string; readonly advice: string }>>;
export type ImportCode = keyof typeof IMPORT_CODES;
