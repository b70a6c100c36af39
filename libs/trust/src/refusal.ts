/** A refusal is a fact with a stable code, never an exception: what it refuses changed nothing. */
export type Refusal<C extends string> = {
  readonly ok: false;
  readonly code: C;
  readonly text: string;
  readonly expected?: string;
  readonly got?: string;
};

/** The outcome of a check. */
export type Checked<T, C extends string> = { readonly ok: true; readonly value: T } | Refusal<C>;

export const accept = <T>(value: T): { readonly ok: true; readonly value: T } => ({ ok: true, value });

type Compared = { readonly expected?: string; readonly got?: string };

/** Of `compared` only these two fields are taken: another refusal can be passed on without its code. */
export const refuse = <C extends string>(code: C, text: string, { expected, got }: Compared = {}): Refusal<C> => ({
  ok: false,
  code,
  text,
  ...(expected === undefined ? {} : { expected }),
  ...(got === undefined ? {} : { got }),
});
