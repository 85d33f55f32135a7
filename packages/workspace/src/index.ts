export { createContentStore } from './content-store.ts';
export type { ContentStore, ContentStoreOptions, ContentTar } from './content-store.ts';
export type { Environment } from './extract-tar.ts';
export { createHostFiles } from './host-files.ts';
export { createGit } from './git.ts';
export type { HostGit } from './git.ts';
export type { GitCall, GitResult, GitRunner } from './git-runner.ts';
export { createLayeredStore } from './layers/layered-store.ts';
export type { LayeredStoreOptions } from './layers/layered-store.ts';
