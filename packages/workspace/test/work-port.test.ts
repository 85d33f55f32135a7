import { silentLogger } from '@opencode-tools/core';
import { workPortContract } from '@opencode-tools/testkit';
import { createWork } from '../src/index.ts';
import { git, openStore } from './open-store.ts';

workPortContract('Work out of the content store', async () => {
  const { store, directory, close } = await openStore();
  const freeze = async (path: string) => (await store.freeze({ kind: 'directory', path })).id;
  return { work: createWork({ environment: process.env, directory, git, logger: silentLogger }), freeze, close };
});
