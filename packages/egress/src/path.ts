const unreserved = /[A-Za-z0-9._~-]/;

/** Encoded slashes and controls at any depth, dots encoded more than once, and escapes that are none. */
const ambiguousEscape = /%(?![0-9a-f]{2})|%(?:25)*(?:2f|5c|0[0-9a-f]|1[0-9a-f])|%(?:25)+2e/i;

/**
 * Brings the path of a request into the form in which prefixes are compared: without query, needless percent encoding undone, dot
 * segments resolved.
 *
 * @returns undefined when servers would disagree about what it means: backslashes, empty segments, dots with parameters,
 *   controls, fragments, which no request has, and what is encoded to look like none of them
 */
export function normalisePath(text: string): string | undefined {
  const [bare = ''] = text.split('?', 1);
  if (
    !bare.startsWith('/') ||
    text.includes('#') ||
    /[\u0000-\u0020\u007f\\]|\/\//.test(bare) ||
    ambiguousEscape.test(bare)
  )
    return undefined;
  const decoded = bare.replace(/%([0-9a-f]{2})/gi, (escape, hex: string) => decodeUnreserved(escape, hex));
  return /\/\.{1,2};/.test(decoded) ? undefined : resolveDots(decoded);
}

/** Tells whether a path is the prefix or lies below it; a prefix ends at a slash or at the path's end. */
export function isBelow(path: string, prefix: string): boolean {
  return path === prefix || path.startsWith(prefix.endsWith('/') ? prefix : `${prefix}/`);
}

function decodeUnreserved(escape: string, hex: string): string {
  const character = String.fromCharCode(Number.parseInt(hex, 16));
  return unreserved.test(character) ? character : escape.toUpperCase();
}

function resolveDots(path: string): string {
  const segments = path.split('/').slice(1);
  const kept: string[] = [];
  for (const segment of segments) {
    if (segment === '..') kept.pop();
    else if (segment !== '.') kept.push(segment);
  }
  const endsInDots = ['.', '..'].includes(segments.at(-1) ?? '');
  return `/${[...kept, ...(endsInDots ? [''] : [])].join('/')}`;
}
