import { createGlob } from '../claims/glob.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import { sandboxPath } from './file-paths.ts';
import type {
  FileContent,
  FileList,
  FindFilesOptions,
  FoundFiles,
  FoundText,
  ListFilesOptions,
  ReadFileOptions,
  SearchFilesOptions,
} from './files-contract.ts';
import type { Reach } from './reach-files.ts';
import { integerBetween, invalid } from './validate.ts';

const mostReadBytes = 16 * 1024 ** 2;
/** Larger files are read without a digest: finding it takes longer than whoever wants a part of a large log waits. */
const mostDigestedBytes = 128 * 1024 ** 2;
const mostEntries = 10_000;
/** So many names may fit a glob before the search is given up as too wide. */
const mostFound = 200_000;

export async function readFile({ task, files, access }: Reach, options: ReadFileOptions): Promise<FileContent> {
  const path = sandboxPath(task, options.path);
  const { range } = options;
  if (range?.unit === 'bytes') {
    integerBetween('range.offset', range.offset, 0, Number.MAX_SAFE_INTEGER);
    integerBetween('range.length', range.length, 1, Number.MAX_SAFE_INTEGER);
  }
  if (range?.unit === 'lines') {
    integerBetween('range.first', range.first, 1, 1_000_000_000);
    integerBetween('range.count', range.count, 1, 1_000_000_000);
  }
  const limitBytes = integerBetween('limitBytes', options.limitBytes ?? 1024 ** 2, 1, mostReadBytes);
  const withDigest = options.withDigest ?? true;
  const { facts, ...rest } = await files.read(access(), {
    path,
    limitBytes,
    withDigest,
    digestLimitBytes: mostDigestedBytes,
    ...(range === undefined ? {} : { range }),
  });
  const { bytes, goesOn } = range?.unit === 'lines' ? firstLines(rest.bytes, range.count) : { ...rest, goesOn: false };
  const { sizeBytes, mode } = facts;
  return { path, bytes, sizeBytes, mode, truncated: rest.truncated || goesOn, digest: rest.digest };
}

/** One line more than asked for was read, to see whether there is one. */
function firstLines(bytes: Uint8Array, count: number): { readonly bytes: Uint8Array; readonly goesOn: boolean } {
  let end = 0;
  for (let line = 0; line < count; line += 1) {
    const next = bytes.indexOf(10, end);
    if (next < 0) return { bytes, goesOn: false };
    end = next + 1;
  }
  return { bytes: bytes.subarray(0, end), goesOn: end < bytes.length };
}

export async function listFiles({ task, files, access }: Reach, options: ListFilesOptions): Promise<FileList> {
  const path = sandboxPath(task, options.path ?? '.');
  const depth = integerBetween('depth', options.depth ?? 1, 1, 64);
  const limit = integerBetween('limit', options.limit ?? 1_000, 1, mostEntries);
  const all = await files.list(access(), { path, depth });
  const { after } = options;
  const from = after === undefined ? 0 : all.findIndex((entry) => entry.path > after);
  const entries = from < 0 ? [] : all.slice(from, from + limit);
  const more = from >= 0 && from + limit < all.length;
  return { path, entries, total: all.length, next: more ? (entries.at(-1)?.path ?? null) : null };
}

export async function findFiles({ task, files, access }: Reach, options: FindFilesOptions): Promise<FoundFiles> {
  const path = sandboxPath(task, options.path ?? '.');
  const limit = integerBetween('limit', options.limit ?? 1_000, 1, mostEntries);
  const glob = createGlob(options.glob);
  const found: string[] = [];
  await files.names(access(), path, (name) => {
    if (!glob.matches(name)) return;
    found.push(name);
    if (found.length > mostFound)
      throw new OpencodeToolsError('OCT_RESOURCE_LIMIT', `More than ${mostFound} names fit ${options.glob}`, {
        remedy: 'Give a narrower glob or a directory.',
      });
  });
  return { path, paths: found.sort().slice(0, limit), truncated: found.length > limit };
}

export async function searchFiles({ task, files, access }: Reach, options: SearchFilesOptions): Promise<FoundText> {
  const path = sandboxPath(task, options.path ?? '.');
  const { pattern, kind = 'literal', ignoreCase = false } = options;
  if (pattern === '' || pattern.length > 10_000)
    throw invalid('pattern', `has ${pattern.length} characters`, 'Give 1 to 10000 characters.');
  if (/[\0\n]/.test(pattern) || !pattern.isWellFormed())
    throw invalid('pattern', 'is more than one line of text', 'Search for one line at a time.');
  const limit = integerBetween('limit', options.limit ?? 200, 1, mostEntries);
  const glob = options.glob === undefined ? undefined : createGlob(options.glob);
  const accepts = (name: string): boolean => glob?.matches(name) ?? true;
  const found = await files.search(access(), { path, pattern, kind, ignoreCase, accepts, limit });
  return { path, ...found };
}
