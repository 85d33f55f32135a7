export { createContentStore } from './content-store.ts';
export type { ContentStoreOptions } from './content-store.ts';
export type { Environment } from './extract-tar.ts';
export { createHostFiles } from './host-files.ts';
export { createGit } from './git.ts';
export type { HostGit } from './git.ts';
export type { GitCall, GitResult, GitRunner } from './git-runner.ts';
