/** What `npm test` was asked to run. */
export type Selection =
  | { readonly kind: 'everything' }
  | { readonly kind: 'phase'; readonly phase: PhaseName }
  /** Test files whose path contains the text. */
  | { readonly kind: 'files'; readonly filter: string }
  | { readonly kind: 'help' }
  | { readonly kind: 'wrong'; readonly argument: string };

export const PHASE_NAMES = ['types', 'lint', 'unit', 'real'] as const;
export type PhaseName = (typeof PHASE_NAMES)[number];

export const HELP = `npm test                        types, lint, unit tests, tests on real daemons; all but the four long ones
npm test -- --only unit         one phase: ${PHASE_NAMES.join(', ')}
npm test -- --only libs/trust   the test files whose path contains the text; test/bench, test/attacks/flood,
                                test/attacks/slow-peer and test/faults/rolling-upgrade run only so
npm test -- --help              this

Ends with what failed and why, a line each, and "N passed, N failed"; exit code 1 if anything failed or nothing ran.
A skipped test counts as failed: either it can run or it should not be there.
`;

export function parseArguments(args: readonly string[]): Selection {
  const [first, second, ...rest] = args;
  if (first === undefined) return { kind: 'everything' };
  if (first === '--help' || first === '-h') return { kind: 'help' };
  if (first !== '--only') return { kind: 'wrong', argument: first };
  if (second === undefined || second === '') return { kind: 'wrong', argument: '--only without a name' };
  if (rest[0] !== undefined) return { kind: 'wrong', argument: rest[0] };
  const phase = PHASE_NAMES.find((name) => name === second);
  return phase === undefined ? { kind: 'files', filter: second } : { kind: 'phase', phase };
}
