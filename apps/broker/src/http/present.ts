type Undefinable<T> = { readonly [K in keyof T]: T[K] | undefined };
type Present<T> = { readonly [K in keyof T]?: Exclude<T[K], undefined> };

/** Fields that are there: under `exactOptionalPropertyTypes` an absent filter is not the same as `undefined`. */
export function present<T extends object>(fields: Undefinable<T>): Present<T>;
export function present(fields: object): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
