import type { ExecutionId } from '../domain/ids.ts';
import type { ByteStream } from './volume-port.ts';

export const fileTypes = ['file', 'directory', 'symlink', 'fifo', 'socket', 'device'] as const;
export type FileType = (typeof fileTypes)[number];

/**
 * An absolute path as the sandbox sees it. Names on Linux are bytes: a byte that is not part of valid UTF-8 is the lone
 * surrogate U+DC00 plus the byte, as in Python's `surrogateescape`.
 */
export type SandboxPath = string;

/** Under which right a file is touched: as a command, and ended as one. */
export interface FileAccess {
  readonly executionId: ExecutionId;
  /** Compared inside the sandbox right before anything happens. */
  readonly token: number;
  /** Default 60,000; streams count from their beginning to their end. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface FileFacts {
  readonly path: SandboxPath;
  readonly type: FileType;
  readonly sizeBytes: number;
  /** The lower twelve bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Milliseconds since 1970; whole seconds where the image can tell no more. */
  readonly modifiedMs: number;
}

export interface ReadFile {
  readonly path: SandboxPath;
  /** In bytes, or in lines from 1; the whole file by default. */
  readonly range?:
    | { readonly unit: 'bytes'; readonly offset: number; readonly length: number }
    | { readonly unit: 'lines'; readonly first: number; readonly count: number };
  /** At most so many bytes are returned. */
  readonly limitBytes: number;
  /** True gives the digest of the whole file, whatever is read of it. */
  readonly withDigest: boolean;
  /** A file of more bytes is not read through for its digest; by default every file is. */
  readonly digestLimitBytes?: number;
}

export interface FileBytes {
  /** Of the file that was read; symbolic links were followed. */
  readonly facts: FileFacts;
  readonly bytes: Uint8Array;
  /** True when the range or file goes on past the limit. */
  readonly truncated: boolean;
  /** SHA-256 in hexadecimal; null unless asked for, and of a file beyond `digestLimitBytes`. */
  readonly digest: string | null;
}

/** What must be true of a file right before it is replaced. */
export type FileExpectation = { readonly kind: 'absent' } | { readonly kind: 'digest'; readonly digest: string };

export interface WriteFile {
  readonly path: SandboxPath;
  readonly content: Uint8Array | ByteStream;
  /** Permission bits; those of the file that is replaced by default, 0o644 for a new one. */
  readonly mode?: number;
  readonly expect?: FileExpectation;
  /** True makes the directories above. */
  readonly makeParents: boolean;
  /** Name of the file beside the target until it takes its place, as `temporaryName` makes it; one of its own by default. */
  readonly temporary?: string;
}

/** @param id in lower case letters and digits, of what the name is to be found by */
export function temporaryName(id: string): string {
  return `.oct-${id}`;
}

export interface WrittenFile {
  /** Where the bytes are: symbolic links were followed. */
  readonly path: SandboxPath;
  readonly sizeBytes: number;
  /** SHA-256 in hexadecimal. */
  readonly digest: string;
  readonly created: boolean;
}

export interface ListFiles {
  readonly path: SandboxPath;
  /** 1 is the directory itself, 2 also what is in its directories, at most 64. */
  readonly depth: number;
}

export interface SearchText {
  readonly path: SandboxPath;
  readonly pattern: string;
  /** `regex` is an extended regular expression; what grep and ripgrep agree on is safe. */
  readonly kind: 'literal' | 'regex';
  readonly ignoreCase: boolean;
  /** Only files that this accepts, given relative to `path`. */
  readonly accepts: (path: string) => boolean;
  readonly limit: number;
}

export interface TextMatch {
  /** Relative to the path searched. */
  readonly path: string;
  /** From 1. */
  readonly line: number;
  /** The line; invalid bytes become U+FFFD. */
  readonly text: string;
}

/**
 * Files of one sandbox, touched inside it by the commands' user: what a path leads to, who may do what, and every race over
 * symbolic links are the sandbox's own affair. Only regular files are read and written.
 *
 * All methods throw OpencodeToolsError `OCT_FILE_NOT_FOUND`; `OCT_FILE_REFUSED` for what the user may not do and for what is not
 * a regular file or directory; `OCT_STALE_FENCING_TOKEN`, `OCT_SANDBOX_NOT_FOUND`, `OCT_RESOURCE_LIMIT`, `OCT_TIMEOUT`,
 * `OCT_CANCELLED`, `OCT_CAPABILITY_UNSUPPORTED` when the image lacks a needed program, `OCT_ENGINE_UNAVAILABLE`.
 */
export interface SandboxFiles {
  read(access: FileAccess, request: ReadFile): Promise<FileBytes>;
  /**
   * Writes whole or not at all: into a file beside the target, checked, then renamed over it.
   *
   * @throws OpencodeToolsError `OCT_VERSION_CONFLICT` when the expectation does not hold; nothing is changed
   */
  write(access: FileAccess, request: WriteFile): Promise<WrittenFile>;
  /** Describes the path itself; a symbolic link is not followed, its target is told. */
  stat(
    access: FileAccess,
    path: SandboxPath,
  ): Promise<FileFacts & { readonly target: string | null; readonly real: SandboxPath | null }>;
  /** Everything below a directory, which may itself be reached by a link; sorted by path, relative to it. */
  list(access: FileAccess, request: ListFiles): Promise<readonly FileFacts[]>;
  /** Paths below a directory, relative to it, in no order, `.git` and `node_modules` left out. */
  names(access: FileAccess, path: SandboxPath, take: (path: string) => void): Promise<void>;
  /** Lines that hold a pattern, below a directory or in a file; `.git`, `node_modules` and binary files left out. */
  search(
    access: FileAccess,
    request: SearchText,
  ): Promise<{ readonly matches: readonly TextMatch[]; readonly truncated: boolean }>;
  /** Removes a file, link or directory. @returns what was removed: the path, and what was below it when asked for */
  remove(
    access: FileAccess,
    request: { readonly path: SandboxPath; readonly recursive: boolean; readonly tell: boolean },
  ): Promise<readonly SandboxPath[]>;
  /** Renames. @throws OpencodeToolsError `OCT_VERSION_CONFLICT` when the target exists and `replace` is false */
  move(
    access: FileAccess,
    request: { readonly from: SandboxPath; readonly to: SandboxPath; readonly replace: boolean },
  ): Promise<void>;
  /** Makes a directory and those above it; an existing directory is fine. */
  makeDirectory(access: FileAccess, path: SandboxPath): Promise<void>;
  /**
   * Extracts a tar stream into a directory, which is made when absent. Everything is extracted beside its place first, where that can
   * be: a stream that fails changes nothing, and each file is replaced in one step. What is not in the stream stays.
   *
   * @param request.temporary as of `WriteFile`, of the directory that it is extracted into first
   * @returns what it wrote, as the image's tar names it
   */
  extract(
    access: FileAccess,
    request: {
      readonly path: SandboxPath;
      readonly tar: ByteStream;
      readonly tell: boolean;
      readonly temporary?: string;
    },
  ): Promise<readonly string[]>;
  /** Removes what `write` or `extract` to the path left under the name when it was killed. Absent is fine. */
  removeTemporary(
    access: FileAccess,
    request: { readonly path: SandboxPath; readonly temporary: string },
  ): Promise<void>;
  /** Packs a path as a tar stream whose members begin with the path's last name; symbolic links stay links. */
  pack(access: FileAccess, path: SandboxPath): ByteStream;
}
