import { silentLogger } from '@opencode-tools/core';
import { createContentStore, createGit } from '../src/index.ts';

/* A process of its own that freezes a directory: node freeze-child.ts <store> <tree> */
const [, , directory = '', tree = ''] = process.argv;
const environment = { PATH: process.env['PATH'] };
const volumes = new Proxy({} as never, {});
const git = createGit({ environment, logger: silentLogger, bound: () => Promise.resolve([]) });
const store = createContentStore({ directory, volumes, git, environment, logger: silentLogger });
const { id } = await store.freeze({ kind: 'directory', path: tree });
process.stdout.write(id);
