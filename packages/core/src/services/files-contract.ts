import type { OutsideClaims } from '../claims/claim.ts';
import type { OperationId, TaskId } from '../domain/ids.ts';
import type { FileExpectation, FileFacts, TextMatch } from '../ports/sandbox-files.ts';
import type { ByteStream } from '../ports/volume-port.ts';
import type { Call, UnderSession } from './call.ts';

/**
 * A path is relative to the workspace, or absolute as the sandbox sees it. Bytes of names that are no UTF-8 are written as in
 * `SandboxPath`.
 */
export interface AtPath extends UnderSession {
  readonly path: string;
}

export interface ReadFileOptions extends AtPath {
  /** In bytes, or in lines from 1; the whole file by default. */
  readonly range?:
    | { readonly unit: 'bytes'; readonly offset: number; readonly length: number }
    | { readonly unit: 'lines'; readonly first: number; readonly count: number };
  /** Bytes returned at most; default 1 MiB, at most 16 MiB. */
  readonly limitBytes?: number;
  /** False spares the digest of a file that is read in part. Default true. */
  readonly withDigest?: boolean;
}

export interface FileContent {
  /** Absolute. */
  readonly path: string;
  readonly bytes: Uint8Array;
  /** Size of the whole file; files of `/proc` say 0. */
  readonly sizeBytes: number;
  readonly mode: number;
  /** True when file or range goes on past what is returned. */
  readonly truncated: boolean;
  /** SHA-256 of the whole file in hexadecimal: the version that a write may expect. Null when it was not asked for, or the file has more than 128 MiB. */
  readonly digest: string | null;
}

export interface WriteFileOptions extends AtPath {
  readonly content: Uint8Array | ByteStream;
  /** Permission bits, 0 to 0o7777; those of the file that is replaced by default, 0o644 for a new one. */
  readonly mode?: number;
  /** The file must not exist, or have this digest; otherwise nothing changes. */
  readonly expect?: FileExpectation;
  /** Default true: directories above are made. */
  readonly makeParents?: boolean;
}

/** What a change of files left behind. */
export interface FileChanged {
  readonly operationId: OperationId;
  /** Absolute; where symbolic links lead. */
  readonly path: string;
  /** What was changed outside the session's claims; absent when nobody claims anything on the task. */
  readonly outsideClaims?: OutsideClaims;
  /** What happened to the sandbox before that the caller should know. */
  readonly notices?: readonly string[];
}

export interface FileWritten extends FileChanged {
  readonly sizeBytes: number;
  readonly digest: string;
  readonly created: boolean;
}

export interface TextEdit {
  /** Found byte for byte. */
  readonly oldText: string;
  readonly newText: string;
  /** How often it occurs: exactly so often, or nothing changes. Default 1. `all` is any number from 1. */
  readonly count?: number | 'all';
}

export interface EditFileOptions extends AtPath {
  /** Made in order, each on what the one before left; 1 to 100. */
  readonly edits: readonly TextEdit[];
  readonly expectedDigest?: string;
}

export interface FileEdited extends FileWritten {
  /** How many places were replaced. */
  readonly replaced: number;
}

export interface ListFilesOptions extends UnderSession {
  /** Default: the workspace. */
  readonly path?: string;
  /** 1 to 64; default 1. */
  readonly depth?: number;
  /** 1 to 10,000; default 1,000. */
  readonly limit?: number;
  /** `next` of the list before. */
  readonly after?: string;
}

/** One name of a list; `path` is relative to the directory that was listed. */
export type FileEntry = FileFacts;

export interface FileList {
  /** Absolute. */
  readonly path: string;
  /** Sorted by path. */
  readonly entries: readonly FileEntry[];
  readonly total: number;
  /** Null when nothing follows. */
  readonly next: string | null;
}

export interface FileDescription extends FileFacts {
  /** What a symbolic link says. */
  readonly target: string | null;
  /** Where it leads; null when that does not exist. */
  readonly real: string | null;
}

export interface FindFilesOptions extends UnderSession {
  /** As in claims: `**` for any directories; see `docs/explanation/collaboration.md`. */
  readonly glob: string;
  /** Where to look; default the workspace. The glob is relative to it. */
  readonly path?: string;
  /** 1 to 10,000; default 1,000. */
  readonly limit?: number;
}

export interface FoundFiles {
  /** Absolute. */
  readonly path: string;
  /** Relative to it, sorted. */
  readonly paths: readonly string[];
  readonly truncated: boolean;
}

export interface SearchFilesOptions extends UnderSession {
  readonly pattern: string;
  /** `regex` is an extended regular expression. Default `literal`. */
  readonly kind?: 'literal' | 'regex';
  readonly ignoreCase?: boolean;
  /** A directory or file; default the workspace. */
  readonly path?: string;
  /** Only files whose path, relative to `path`, it covers. */
  readonly glob?: string;
  /** 1 to 10,000 lines; default 200. */
  readonly limit?: number;
}

export interface FoundText {
  /** Absolute. */
  readonly path: string;
  /** In the order found; paths relative to `path`. */
  readonly matches: readonly TextMatch[];
  readonly truncated: boolean;
}

export interface CopyInOptions extends AtPath {
  /** Extracted into the directory `path`, which is made when absent. */
  readonly tar: ByteStream;
}

export interface CopyOutOptions<T> extends AtPath {
  /** Takes the tar stream of the path; its members begin with the path's last name. */
  readonly take: (tar: ByteStream) => Promise<T>;
}

/**
 * Files in a task's sandbox, as the sandbox sees them and with the rights of its user. Reading needs no lease while the sandbox
 * runs; one that does not run is started for it, and stopped again unless the task runs. Changes are made under a lease, recorded
 * with path, size and digest, never with content, and compared with the claims on the task.
 */
export interface FileService {
  read(taskId: TaskId, options: ReadFileOptions, call: Call): Promise<FileContent>;
  /** Whole or not at all. @throws OpencodeToolsError `OCT_VERSION_CONFLICT` when the expectation does not hold */
  write(taskId: TaskId, options: WriteFileOptions, call: Call): Promise<FileWritten>;
  /** @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` when a text does not occur as often as said; nothing changes then */
  edit(taskId: TaskId, options: EditFileOptions, call: Call): Promise<FileEdited>;
  stat(taskId: TaskId, options: AtPath, call: Call): Promise<FileDescription>;
  list(taskId: TaskId, options: ListFilesOptions, call: Call): Promise<FileList>;
  /** By name; `.git` and `node_modules` are left out. */
  find(taskId: TaskId, options: FindFilesOptions, call: Call): Promise<FoundFiles>;
  /** By content; `.git`, `node_modules` and binary files are left out. */
  search(taskId: TaskId, options: SearchFilesOptions, call: Call): Promise<FoundText>;
  /** @param options `recursive` removes a directory with all in it */
  remove(taskId: TaskId, options: AtPath & { readonly recursive?: boolean }, call: Call): Promise<FileChanged>;
  move(
    taskId: TaskId,
    options: AtPath & { readonly to: string; readonly replace?: boolean },
    call: Call,
  ): Promise<FileChanged>;
  makeDirectory(taskId: TaskId, options: AtPath, call: Call): Promise<FileChanged>;
  copyIn(taskId: TaskId, options: CopyInOptions, call: Call): Promise<FileChanged & { readonly sizeBytes: number }>;
  copyOut<T>(taskId: TaskId, options: CopyOutOptions<T>, call: Call): Promise<T>;
}
