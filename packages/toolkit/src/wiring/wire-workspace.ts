import { join } from 'node:path';
import type {
  DirectoryWatch,
  GitPort,
  HomeId,
  HostFiles,
  LayerPort,
  Logger,
  SteeringFacts,
  VolumePort,
  WorkPort,
  WorkspaceStore,
} from '@opencode-tools/core';
import type { Environment } from '../configuration/environment.ts';
import { lazy, lazyMethods } from './lazy.ts';

/** The workspace store (layers where the engine can, else content) and git, loaded at their first use. */
export function wireWorkspace(options: {
  readonly home: string;
  readonly homeId: HomeId;
  readonly layers: LayerPort;
  /** False for new volumes without layers, whatever the engine can do. */
  readonly useLayers: boolean;
  /** Age at which content is stored in less space; null for never. */
  readonly packAfterMs: number | null;
  readonly volumes: VolumePort;
  /** Directories of the host that sandboxes can write. */
  readonly bound: () => Promise<readonly string[]>;
  /** Directories of the host that tasks may mount; null for any. */
  readonly mayMount: readonly string[] | null;
  /** Looks for what programs of the host run or obey. */
  readonly steering: () => Promise<SteeringFacts>;
  readonly environment: Environment;
  readonly logger: Logger;
}): {
  readonly workspaces: WorkspaceStore;
  readonly git: GitPort;
  readonly hostFiles: HostFiles;
  readonly work: WorkPort;
  readonly directories: DirectoryWatch;
} {
  const { home, homeId, layers, useLayers, packAfterMs, volumes, bound, mayMount, steering, environment, logger } =
    options;
  const module = lazy(() => import('@opencode-tools/workspace'));
  const git = lazy(async () => (await module()).createGit({ environment, logger, bound }));
  const watch = lazy(async () => (await module()).createDirectoryWatch({ directory: join(home, 'content') }));
  const store = lazy<WorkspaceStore>(async () => {
    const { createContentStore, createLayeredStore } = await module();
    const directory = join(home, 'content');
    const content = createContentStore({
      directory,
      volumes,
      git: await git(),
      mayMount,
      steering,
      environment,
      logger,
      ...(packAfterMs === null ? {} : { packAfterMs }),
    });
    const labels = { 'io.opencode-tools.home': homeId, 'io.opencode-tools.kind': 'layer-view' };
    return createLayeredStore({ directory: join(home, 'layers'), content, layers, useLayers, volumes, labels, logger });
  });
  return {
    work: lazyMethods(
      async () =>
        (await module()).createWork({
          directory: join(home, 'content'),
          git: await git(),
          environment,
          steering,
          logger,
        }),
      ['review', 'target', 'apply', 'branchTip', 'receive', 'merge', 'commit', 'settle', 'forget', 'known'],
    ),
    directories: lazyMethods(watch, ['note', 'compare', 'forget']),
    hostFiles: {
      pack: (...args) => packLazily(async () => (await module()).createHostFiles(), args),
      ...lazyMethods(async () => (await module()).createHostFiles(), ['unpack']),
    },
    workspaces: {
      settle: async () => {
        await (await store.peek())?.settle();
      },
      ...lazyMethods(store, [
        'seed',
        'freeze',
        'provision',
        'ready',
        'checkDirectory',
        'guardDirectory',
        'restoreDirectory',
        'contentOf',
        'diff',
        'verify',
        'has',
        'missing',
        'takeStock',
        'layering',
        'reserve',
        'exportTrees',
        'importTrees',
        'freezeTar',
        'tarOf',
        'usage',
        'collect',
      ]),
    },
    git: lazyMethods(git, ['inspect', 'resolve', 'isBranchName', 'listBranches', 'createBranch']),
  };
}

async function* packLazily(
  files: () => Promise<HostFiles>,
  args: Parameters<HostFiles['pack']>,
): AsyncGenerator<Uint8Array> {
  yield* (await files()).pack(...args);
}
