// Which Debian mirror this machine uses: ours must be the same, it may be the only one it can reach.

/** @typedef {{ uri: string, suites: readonly string[], signedBy: string | undefined }} Source */

/**
 * @param {readonly { name: string, text: string }[]} files of /etc/apt/sources.list and sources.list.d
 * @returns {readonly Source[]} the binary package sources, in order
 */
export function parseSources(files) {
  return files.flatMap(({ name, text }) => (name.endsWith('.sources') ? deb822(text) : oneLine(text)));
}

/**
 * The archive proper: not the security one, not another vendor's. Its suites include the release's own.
 * @param {readonly Source[]} sources
 * @param {string} codename e.g. `bookworm`
 * @returns {Source | undefined}
 */
export function debianMirror(sources, codename) {
  return sources.find(({ uri, suites }) => suites.includes(codename) && /\/debian\/?$/.test(uri));
}

/** deb822(5): stanzas of `Key: value`, continued by indented lines. */
function deb822(text) {
  return text.split(/\n\s*\n/).flatMap((stanza) => {
    const fields = Object.fromEntries(
      stanza
        .replace(/^#.*\n?/gm, '')
        .replace(/\n[ \t]+/g, ' ')
        .split('\n')
        .map((line) => /^([\w-]+):\s*(.*)$/.exec(line))
        .filter((match) => match !== null)
        .map(([, key, value]) => [key.toLowerCase(), value.trim()]),
    );
    const isBinary = fields['types']?.split(/\s+/).includes('deb') && fields['enabled'] !== 'no';
    if (!isBinary || fields['uris'] === undefined || fields['suites'] === undefined) return [];
    const suites = fields['suites'].split(/\s+/);
    const signedBy = fields['signed-by']?.startsWith('/') ? fields['signed-by'] : undefined;
    return fields['uris'].split(/\s+/).map((uri) => ({ uri, suites, signedBy }));
  });
}

/** sources.list(5): `deb [options] uri suite components…`. */
function oneLine(text) {
  return text.split('\n').flatMap((line) => {
    const match = /^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)/.exec(line.trim());
    if (match === null) return [];
    const signedBy = /signed-by=(\/\S+)/.exec(match[1] ?? '')?.[1];
    return [{ uri: match[2], suites: [match[3]], signedBy }];
  });
}
