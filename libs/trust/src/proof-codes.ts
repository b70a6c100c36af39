/** Why a proof convinces nobody: one sentence, and what to do next. For `carnet error CODE`. */
export const PROOF_CODES = {
  PROOF_MALFORMED: {
    text: 'The file is no proof of this version, or was cut off.',
    advice: 'Have it exported again: `carnet peer proof PEER --out FILE`.',
  },
  PROOF_TOO_LARGE: {
    text: 'The proof is larger than one file may be: it takes a ledger that is too long.',
    advice: 'Export the ledgers with `carnet audit export`, and have `carnet audit verify` compare them with the other side’s.',
  },
  PROOF_KEY_UNVOUCHED: {
    text: 'Nothing in the proof ties the signing key to a certificate of that CSP.',
    advice:
      'The text names the check that failed. If it is a revocation list, bring one of today; else the proof is worth nothing.',
  },
  PROOF_NOT_SIGNED: {
    text: 'A piece of the proof is not what that CSP signed.',
    advice: 'It was changed or forged: believe nothing of it, and ask whoever showed it where it comes from.',
  },
  PROOF_MISPLACED: {
    text: 'A piece of the proof is of another ledger than it accuses.',
    advice: 'What was said to one CSP contradicts nothing that was said to another: the proof is worth nothing.',
  },
  PROOF_INCOMPLETE: {
    text: 'The proof does not show what its statement is to contradict.',
    advice: 'Ask whoever showed it for the whole of it; without that it is worth nothing.',
  },
  PROOF_UNACKNOWLEDGED: {
    text: 'That the ledger of its audience ends where it is shown to end is the word of that audience alone.',
    advice:
      'Have it exported again once a newer signed head of the accused is here (every 30 s), or ask the accused for the event that it cited: if it has it, the audience was restored, or hid it.',
  },
  PROOF_LEDGER_DISPUTED: {
    text: 'The accused signed that it holds another ledger of its audience, or more of it, than the audience shows.',
    advice: 'The audience was restored, or hides what it said: ask it for what is missing, and the accused for its copy.',
  },
  PROOF_NO_CONTRADICTION: {
    text: 'What is shown was signed, and does not contradict itself.',
    advice: 'It proves nothing against anybody.',
  },
} as const satisfies Readonly<Record<string, { readonly text: string; readonly advice: string }>>;
export type ProofCode = keyof typeof PROOF_CODES;
