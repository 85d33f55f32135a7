import type { SnapshotRef } from './checkpoint.ts';

/** How uncommitted changes of a source repository are treated when a workspace is seeded from it. */
export const dirtyPolicies = ['refuse', 'carry', 'leave'] as const;
export type DirtyPolicy = (typeof dirtyPolicies)[number];

/** Where a volume workspace's first content comes from. */
export type WorkspaceSource =
  | { readonly kind: 'empty' }
  | { readonly kind: 'directory'; readonly path: string }
  | {
      readonly kind: 'git';
      /** Real path of the repository on this host. */
      readonly repository: string;
      /** What the caller named, such as a branch; null for the current HEAD. */
      readonly ref: string | null;
      /** The commit it meant when the task was created. */
      readonly commit: string;
      readonly dirty: DirtyPolicy;
      /** True when the repository is a shallow clone: history that it does not have is not in the workspace; else absent. */
      readonly shallow?: true;
    };

/**
 * A task's files. `volume`: an engine volume seeded once from the source, mounted at `/workspace`. `bind`: a directory
 * of the host, mounted at the same absolute path.
 */
export type WorkspaceSpec =
  | {
      readonly mode: 'volume';
      /** Absolute path inside the sandbox. */
      readonly path: string;
      readonly source: WorkspaceSource;
      /** Snapshot of the source, taken when the task was created; null for an empty workspace. */
      readonly base: SnapshotRef | null;
    }
  | { readonly mode: 'bind'; readonly path: string };
