import { OpencodeToolsError } from '@opencode-tools/core';

/**
 * A path whose characters are the bytes of the name (Latin-1), because names on Linux are bytes: they need not be valid
 * UTF-8. Comparing two such strings compares their bytes.
 */
export type BytePath = string;

// eslint-disable-next-line no-control-regex
const ascii = /^[\u0000-\u007f]*$/;

export function isAscii(path: BytePath): boolean {
  return ascii.test(path);
}

/** Turns text, such as a path given by a caller, into bytes. */
export function toBytePath(text: string): BytePath {
  return ascii.test(text) ? text : Buffer.from(text, 'utf8').toString('latin1');
}

/** Turns a byte path into text to show; bytes that are not UTF-8 become the replacement character. */
export function toText(path: BytePath): string {
  return ascii.test(path) ? path : Buffer.from(path, 'latin1').toString('utf8');
}

/** Gives the form of a byte path that `node:fs` takes. */
export function toFs(path: BytePath): string | Buffer {
  return ascii.test(path) ? path : Buffer.from(path, 'latin1');
}

/** The directory that holds a relative path; empty for the top. */
export function parentOf(path: BytePath): BytePath {
  const slash = path.lastIndexOf('/');
  return slash === -1 ? '' : path.slice(0, slash);
}

/**
 * Brings a member's name into canonical form: no leading `./`, no trailing slash, empty for the top directory.
 *
 * @throws OpencodeToolsError `OCT_PATH_OUTSIDE_WORKSPACE` when the name is absolute, climbs, or has a NUL in it
 */
export function canonicalPath(name: BytePath): BytePath {
  if (name.startsWith('/') || name.includes('\0')) throw outside(name);
  if (!name.includes('./') && !name.includes('//') && !name.endsWith('/') && !name.endsWith('.')) return name;
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw outside(name);
  return parts.join('/');
}

function outside(name: BytePath): OpencodeToolsError {
  return new OpencodeToolsError('OCT_PATH_OUTSIDE_WORKSPACE', `A tree names a path outside itself: ${toText(name)}`, {
    remedy: 'The tree was not made by a well-behaved tool; do not use it.',
  });
}
