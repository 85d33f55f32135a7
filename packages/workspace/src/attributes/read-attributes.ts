import { constants } from 'node:os';
import type { LeftOut } from '@opencode-tools/core';
import { type BytePath, toText } from '../byte-path.ts';
import { shortPath } from '../failures.ts';
import { type KnownLines, isKnown } from '../known-lines.ts';
import type { FoundName } from '../scan-directory.ts';
import { changed } from '../store-contents.ts';
import type { AttributeProgram, Told } from './attribute-program.ts';

const gone: readonly number[] = [constants.errno.ENOENT, constants.errno.ENOTDIR, constants.errno.ELOOP];

/** What was found, with attributes where it has some. */
interface WithAttributes<Name> {
  readonly found: readonly (Name | KnownLines)[];
  /** What could not be read. */
  readonly leftOut?: LeftOut | undefined;
}

/**
 * Reads the attributes of what was found and is not known from the last time.
 *
 * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` for a path that is there no more
 */
export async function readAttributes<Name extends FoundName>(
  program: AttributeProgram,
  root: BytePath,
  found: readonly (Name | KnownLines)[],
  signal: AbortSignal | undefined,
): Promise<WithAttributes<Name>> {
  const places: number[] = [];
  for (const [place, one] of found.entries())
    if (!isKnown(one) && one.digest === undefined && (one.type === 'file' || one.type === 'directory'))
      places.push(place);
  const pathAt = (at: number): BytePath => (found[places[at] ?? 0] as Name).path;
  const told = await program.read(
    root,
    places.map((_, at) => pathAt(at)),
    signal,
  );
  if (told === undefined) return { found, leftOut: { kind: 'all-attributes', count: places.length, first: '' } };
  if (told.length === 0) return { found };
  const texts = new Map<number, string>();
  for (const one of told) {
    if ('attributes' in one) texts.set(places[one.at] ?? -1, one.attributes);
    else if (gone.includes(one.errno)) throw changed(`${root}/${pathAt(one.at)}`);
  }
  return {
    found: found.map((one, place) => (texts.has(place) ? { ...(one as Name), attributes: texts.get(place) } : one)),
    leftOut: failuresOf(told, pathAt),
  };
}

/** What is to be said of attributes that could be neither read nor set. */
export function failuresOf(told: readonly Told[], pathAt: (at: number) => BytePath): LeftOut | undefined {
  const failures = told.filter((one) => 'errno' in one);
  const [first] = failures;
  if (first === undefined) return undefined;
  return { kind: 'attributes', count: failures.length, first: shortPath(toText(pathAt(first.at))) };
}
