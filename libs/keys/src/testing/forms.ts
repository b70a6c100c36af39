/** How a secret could show: raw, hexadecimal, and base64 at each of the three alignments. */
export function formsOf(secret: Uint8Array): readonly Buffer[] {
  const bytes = Buffer.from(secret);
  const base64 = [0, 1, 2].map((shift) =>
    Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .slice(4, 40),
  );
  const decimal = [...bytes.subarray(0, 12)].join(',');
  return [
    bytes,
    Buffer.from(bytes.toString('hex')),
    Buffer.from(bytes.toString('hex').toUpperCase()),
    Buffer.from(decimal),
    ...base64.map((text) => Buffer.from(text)),
  ];
}

export const holdsSecret = (haystack: Buffer, secret: Uint8Array): boolean =>
  formsOf(secret).some((form) => haystack.includes(form));
