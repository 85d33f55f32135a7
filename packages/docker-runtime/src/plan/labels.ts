const prefix = 'io.opencode-tools.';

/** Every label key that this package sets. */
export const labelKeys = {
  home: `${prefix}home`,
  task: `${prefix}task`,
  operation: `${prefix}operation`,
  generation: `${prefix}generation`,
  kind: `${prefix}kind`,
  version: `${prefix}version`,
  /** On an image: `uid:gid` that own `/workspace` and `/home/agent` in it. */
  owner: `${prefix}owner`,
  /** Digest of what an image of ours was built from. */
  inputs: `${prefix}inputs`,
  /** On an image that a user had made: the name that it was made for. */
  recipe: `${prefix}recipe`,
  /** On such an image: reference and content id of what its setup steps ran on. */
  base: `${prefix}base`,
} as const;

export type LabelName = keyof typeof labelKeys;

/** Form of the labels, raised when their meaning changes. */
const labelVersion = '1';

/**
 * Gives a full set: keys without a value are set empty, because a container inherits each label that its image has and
 * it does not set, and an image committed from a sandbox has that sandbox's.
 */
export function fullLabels(values: Partial<Record<LabelName, string>>): Record<string, string> {
  const all = {
    home: '',
    task: '',
    operation: '',
    generation: '',
    kind: '',
    owner: '',
    inputs: '',
    recipe: '',
    base: '',
    version: labelVersion,
    ...values,
  };
  return Object.fromEntries(Object.entries(all).map(([name, value]) => [labelKeys[name as LabelName], value]));
}
