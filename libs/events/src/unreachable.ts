/** Ends every exhaustive `switch`: a new case in the union stops compiling here. */
export function unreachable(value: never): never {
  throw new Error(`unreachable case: ${JSON.stringify(value)}`);
}
