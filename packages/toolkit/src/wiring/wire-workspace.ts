import { join } from 'node:path';
import type { GitPort, HostFiles, Logger, VolumePort, WorkspaceStore } from '@opencode-tools/core';
import type { Environment } from '../configuration/environment.ts';
import { lazy, lazyMethods } from './lazy.ts';

/** The content store and git, loaded at their first use. */
export function wireWorkspace(options: {
  readonly home: string;
  readonly volumes: VolumePort;
  readonly environment: Environment;
  readonly logger: Logger;
}): { readonly workspaces: WorkspaceStore; readonly git: GitPort; readonly hostFiles: HostFiles } {
  const { home, volumes, environment, logger } = options;
  const module = lazy(() => import('@opencode-tools/workspace'));
  const git = lazy(async () => (await module()).createGit({ environment, logger }));
  const store = lazy<WorkspaceStore>(async () => {
    const { createContentStore } = await module();
    return createContentStore({ directory: join(home, 'content'), volumes, git: await git(), environment, logger });
  });
  return {
    workspaces: lazyMethods(store, [
      'seed',
      'freeze',
      'provision',
      'checkDirectory',
      'guardDirectory',
      'restoreDirectory',
      'diff',
      'verify',
      'has',
    ]),
    hostFiles: {
      pack: (...args) => packLazily(async () => (await module()).createHostFiles(), args),
      ...lazyMethods(async () => (await module()).createHostFiles(), ['unpack']),
    },
    git: lazyMethods(git, ['inspect', 'isBranchName', 'listBranches', 'createBranch']),
  };
}

async function* packLazily(
  files: () => Promise<HostFiles>,
  args: Parameters<HostFiles['pack']>,
): AsyncGenerator<Uint8Array> {
  yield* (await files()).pack(...args);
}
