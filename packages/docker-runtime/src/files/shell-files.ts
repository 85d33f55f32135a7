import type { SandboxFiles } from '@opencode-tools/core';
import { makeDirectory, moveFile, removeFile } from './change-files.ts';
import { fileNames, listFiles } from './list-files.ts';
import { readFile, statFile } from './read-file.ts';
import type { RunCommand } from './run-script.ts';
import { searchText } from './search-text.ts';
import { extractFiles, packFiles } from './tar-files.ts';
import { removeTemporary } from './temporary.ts';
import { writeFile } from './write-file.ts';

/**
 * Files by scripts for any POSIX `sh` with the usual programs (coreutils or busybox), run as commands are.
 *
 * @param quietMs how long a tree that is copied may stand still
 */
export function shellFiles(run: RunCommand, quietMs: number): SandboxFiles {
  return {
    read: (access, request) => readFile(run, access, request),
    write: (access, request) => writeFile(run, access, request),
    stat: (access, path) => statFile(run, access, path),
    list: (access, request) => listFiles(run, access, request),
    names: (access, path, take) => fileNames(run, access, path, take),
    search: (access, request) => searchText(run, access, request),
    remove: (access, request) => removeFile(run, access, request),
    move: (access, request) => moveFile(run, access, request),
    makeDirectory: (access, path) => makeDirectory(run, access, path),
    extract: (access, request) => extractFiles(run, access, { ...request, quietMs }),
    removeTemporary: (access, request) => removeTemporary(run, access, request),
    pack: (access, path) => packFiles(run, access, { path, quietMs }),
  };
}
