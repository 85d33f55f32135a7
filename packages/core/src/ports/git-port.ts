export interface RepositoryState {
  /** Real path of the work tree's top directory. */
  readonly topDirectory: string;
  readonly commit: string;
  /** Null when HEAD is detached. */
  readonly branch: string | null;
  /** Paths that differ from HEAD or are untracked and not ignored; at most 100 are listed. */
  readonly dirtyPaths: readonly string[];
  readonly submodules: readonly string[];
  /** True for a clone that was cut off: history before that is not there. */
  readonly shallow: boolean;
}

/** Git on the host, only ever run on repositories that no sandbox can write, and never running their hooks. */
export interface GitPort {
  /**
   * @param ref what to resolve; HEAD by default
   * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` when the directory is no repository or the ref does not exist.
   */
  inspect(directory: string, ref?: string): Promise<RepositoryState>;
  /** What `inspect` says first, without looking at any file. @throws as `inspect` */
  resolve(
    directory: string,
    ref?: string,
  ): Promise<Pick<RepositoryState, 'topDirectory' | 'commit' | 'shallow'> & { readonly bare: boolean }>;
  /** True when the name can be a branch. */
  isBranchName(name: string): Promise<boolean>;
  listBranches(directory: string): Promise<readonly string[]>;
  /** Makes a branch at HEAD and checks it out. */
  createBranch(directory: string, branch: string): Promise<void>;
}
