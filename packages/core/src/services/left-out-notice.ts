import { type LeftOut, longestPathBytes } from '../domain/left-out.ts';
import { clip } from './clip.ts';

/**
 * One sentence about what is in a tree and not in what was made of it.
 *
 * @param where such as `the workspace`
 * @param what was made
 */
export function notIn(
  what: 'the checkpoint' | 'the file',
  { kind, count, first }: LeftOut,
  where: 'the workspace' | 'the home directory',
): string {
  if (kind === 'all-attributes')
    return `extended attributes and access control lists in ${where} are not in ${what}: nothing on this host can read them`;
  const names = `${count} ${count === 1 ? 'path' : 'paths'} in ${where}`;
  const are = count === 1 ? 'is' : 'are';
  const why = {
    deep: `longer than ${longestPathBytes} bytes, with all below, ${are} not in ${what}`,
    special: `that ${are} a socket, pipe or device ${are} not in ${what}`,
    attributes: `${are} in ${what} without extended attributes, which cannot be read`,
  }[kind];
  return `${names} ${why}; the first: ${clip(first, 200)}`;
}

/** One sentence about what is in a checkpoint and was not brought back. */
export function notBroughtBack({ kind, count, first }: LeftOut, where: string): string {
  const names = `${count} ${count === 1 ? 'path' : 'paths'} in ${where}`;
  if (kind === 'all-attributes')
    return `${names} came back without extended attributes and access control lists: nothing on this host can set them`;
  return `${names} came back without all of the extended attributes; the first: ${clip(first, 200)}`;
}
