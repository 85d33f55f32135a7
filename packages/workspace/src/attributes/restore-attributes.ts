import type { LeftOut } from '@opencode-tools/core';
import type { BytePath } from '../byte-path.ts';
import type { KnownLines } from '../known-lines.ts';
import type { FoundName } from '../scan-directory.ts';
import type { TreeEntry } from '../tree-entry.ts';
import type { AttributeProgram, Wanted } from './attribute-program.ts';
import { failuresOf, readAttributes } from './read-attributes.ts';

type Found = FoundName | KnownLines;

/** Gives files and directories of a tree that is being restored their extended attributes. */
export class AttributeRestorer {
  readonly #program: AttributeProgram | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #leftOut: LeftOut[] = [];
  #inherits = false;

  constructor(program: AttributeProgram | undefined, signal: AbortSignal | undefined) {
    [this.#program, this.#signal] = [program, signal];
  }

  /** What could not be done. */
  get leftOut(): readonly LeftOut[] {
    return this.#leftOut;
  }

  /** What was found, with its attributes. */
  async read(root: BytePath, found: readonly Found[]): Promise<readonly Found[]> {
    if (this.#program === undefined) return found;
    const read = await readAttributes(this.#program, root, found, this.#signal);
    const top = read.found.find((one) => one.type !== 'known' && one.path === '') as FoundName | undefined;
    this.#inherits = top?.attributes?.includes('system.posix_acl_default=') === true;
    return read.found;
  }

  /** Makes sure that nothing made in a new directory of the top has an access control list that no entry names. */
  async begin(staging: BytePath): Promise<void> {
    if (this.#inherits) await this.#program?.write(staging, [{ path: '', attributes: '' }], this.#signal);
  }

  /** Sets the attributes of entries that were just made. @param pathOf where each is below the directory */
  async made(
    directory: BytePath,
    entries: readonly TreeEntry[],
    pathOf: (entry: TreeEntry) => BytePath,
  ): Promise<void> {
    const some = entries.filter(({ type, attributes }) => type === 'file' && attributes !== undefined);
    await this.#write(
      directory,
      some.map((entry) => ({ path: pathOf(entry), attributes: entry.attributes ?? '' })),
      some,
    );
  }

  /** Sets those of what is where it belongs. */
  async amend(root: BytePath, entries: readonly TreeEntry[]): Promise<void> {
    await this.#write(
      root,
      entries.map(({ path, attributes = '' }) => ({ path, attributes })),
      entries,
    );
  }

  async #write(root: BytePath, wanted: readonly Wanted[], entries: readonly TreeEntry[]): Promise<void> {
    if (wanted.length === 0) return;
    const told = await this.#program?.write(root, wanted, this.#signal);
    const leftOut =
      told === undefined
        ? ({ kind: 'all-attributes', count: wanted.length, first: '' } as const)
        : failuresOf(told, (at) => entries[at]?.path ?? '');
    if (leftOut !== undefined) this.#leftOut.push(leftOut);
  }
}

/**
 * Whether what is there needs other attributes than it has.
 *
 * @param isAmended its mode or owner is set, which may take some from it
 */
export function needsAttributes(
  { attributes: wanted = '' }: Pick<TreeEntry, 'attributes'>,
  present: Pick<TreeEntry, 'attributes'> | undefined,
  isAmended: boolean,
): boolean {
  return wanted !== (present?.attributes ?? '') || (isAmended && wanted !== '');
}
