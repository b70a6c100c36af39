/**
 * Whether a pattern covers a value: `*` within one path segment, `**` across segments, everything else is itself. Walks both
 * texts once per position pair at most: values come from peers, and a regular expression could be made to run for minutes.
 */
export function matches(pattern: string, value: string): boolean {
  // reach[i]: what has been read of the pattern covers the first i characters of the value.
  let reach: readonly boolean[] = [true, ...Array.from({ length: value.length }, () => false)];
  for (const token of pattern.match(/\*\*|[\s\S]/g) ?? []) reach = advance(reach, token, value);
  return reach.at(-1) ?? false;
}

function advance(reach: readonly boolean[], token: string, value: string): readonly boolean[] {
  if (token !== '*' && token !== '**') return reach.map((_, i) => i > 0 && (reach[i - 1] ?? false) && value[i - 1] === token);
  const next: boolean[] = [];
  for (const [i, here] of reach.entries()) {
    const grows = i > 0 && (next[i - 1] ?? false) && (token === '**' || value[i - 1] !== '/');
    next.push(here || grows);
  }
  return next;
}
