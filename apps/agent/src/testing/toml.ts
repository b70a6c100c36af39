type Scalar = string | number | boolean;
type Value = Scalar | readonly string[];
type Table = { readonly [key: string]: Scalar | undefined | { readonly [key: string]: Value | undefined } };

/** A configuration with tables one deep, as TOML: JSON's strings and numbers are TOML's. */
export function toToml(config: Table): string {
  const line = (key: string, value: Value): string => `${key} = ${JSON.stringify(value)}`;
  const entries = Object.entries(config).filter(([, value]) => value !== undefined);
  const top = entries.flatMap(([key, value]) => (value !== undefined && typeof value !== 'object' ? [line(key, value)] : []));
  const tables = entries.flatMap(([key, value]) =>
    typeof value !== 'object'
      ? []
      : [`[${key}]`, ...Object.entries(value).flatMap(([name, inner]) => (inner === undefined ? [] : [line(name, inner)]))],
  );
  return `${[...top, ...tables].join('\n')}\n`;
}
