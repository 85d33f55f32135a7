import { mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createIds, silentLogger, systemClock } from '@opencode-tools/core';
import { createDockerRuntime } from '@opencode-tools/docker-runtime';
import { type OpenWorkspaceStore, workspaceStoreContract } from '@opencode-tools/testkit';
import { createContentStore, createGit } from '@opencode-tools/workspace';

const environment = process.env;
const ids = createIds(systemClock);

workspaceStoreContract('The content store with volumes of an engine', async (): Promise<OpenWorkspaceStore> => {
  const base = realpathSync(mkdtempSync(join(tmpdir(), 'oct-workspace-')));
  mkdirSync(join(base, 'home'));
  mkdirSync(join(base, 'scratch'));
  const { runtime } = createDockerRuntime({
    environment,
    homeId: ids.next('home'),
    ids,
    clock: systemClock,
    logger: silentLogger,
    baseImages: ['opencode-sandbox-base:latest', 'oct-lab/base:latest', 'oct-lab/debian:bookworm'],
  });
  const { volumes } = runtime;
  const git = createGit({ environment, logger: silentLogger, bound: () => Promise.resolve([]) });
  const directory = join(base, 'home', 'content');
  return {
    store: createContentStore({ directory, volumes, git, environment, logger: silentLogger }),
    volumes,
    scratch: join(base, 'scratch'),
    volumeName: () => `oct-workspace-test-${ids.random().slice(0, 12)}`,
    close: async () => {
      await runtime.close();
      rmSync(base, { recursive: true, force: true });
    },
  };
});
