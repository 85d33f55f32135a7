/**
 * Longer paths, relative to the top of their tree, are in no checkpoint. The kernel takes none of 4,096 bytes, and what is before them
 * where a tree lies, or is being made, takes some; a process can make names deeper than that all the same.
 */
export const longestPathBytes = 3_840;

/**
 * What is in a tree and not in its snapshot: `deep` has a path that is too long, `special` is a socket, a pipe or a device. Of `attributes`
 * the extended attributes could be neither read nor set; `all-attributes` says that nothing on this host can do that.
 */
export interface LeftOut {
  readonly kind: 'deep' | 'special' | 'attributes' | 'all-attributes';
  /** Of what is below a directory that was left out, nothing is counted. */
  readonly count: number;
  /** Path of the first, relative to the top; its beginning where it is long. Empty where all are meant. */
  readonly first: string;
}
