import { mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Logger, silentLogger } from '@opencode-tools/core';
import { type OpenWorkspaceStore, createDirectoryVolumes } from '@opencode-tools/testkit';
import type { ContentStore } from '../src/content-store-contract.ts';
import { createContentStore, createGit } from '../src/index.ts';

const environment = { PATH: process.env['PATH'], HOME: process.env['HOME'] };

/** What tests say that sandboxes have. */
export const bound: string[] = [];

export const git = createGit({ environment, logger: silentLogger, bound: () => Promise.resolve(bound) });

interface OpenStore extends OpenWorkspaceStore {
  readonly directory: string;
  /** The same store as another process would open it. */
  readonly again: () => ContentStore;
}

/** A store in a temporary directory, with directories as volumes. */
export function openStore(logger: Logger = silentLogger): Promise<OpenStore> {
  const base = realpathSync(mkdtempSync(join(tmpdir(), 'oct-workspace-')));
  for (const name of ['home', 'scratch', 'volumes']) mkdirSync(join(base, name));
  const volumes = createDirectoryVolumes(join(base, 'volumes'));
  const directory = join(base, 'home', 'store');
  const again = () => createContentStore({ directory, volumes, git, environment, logger });
  let count = 0;
  return Promise.resolve({
    directory,
    volumes,
    scratch: join(base, 'scratch'),
    store: again(),
    again,
    volumeName: () => `volume-${(count += 1)}`,
    close: () => Promise.resolve(rmSync(base, { recursive: true, force: true })),
  });
}
