/** Seeds that once failed, with what they found. They run with every `npm test`. */
export const CORPUS: readonly { readonly seed: number; readonly found: string }[] = [
  { seed: 49, found: 'a restored source takes its retirement back, and not the rows that were committed with it' },
  { seed: 53, found: 'the key of a saved memory that a deposit made while its move was withdrawn' },
  { seed: 96, found: 'a reservation for an intent that was never answered stays until its own date' },
  { seed: 148, found: 'a target that was restored behind its import has the VM, and no row and no key for it' },
  { seed: 171, found: 'an event that the bus withheld, and that a restored publisher put another one in the place of: a fork' },
  { seed: 296, found: 'a CSP that was restored before it knew anybody stayed in quarantine: neither could verify the other' },
];
