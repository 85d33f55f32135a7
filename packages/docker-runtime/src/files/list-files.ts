import {
  type FileAccess,
  type FileFacts,
  type FileType,
  type ListFiles,
  OpencodeToolsError,
  type SandboxPath,
} from '@opencode-tools/core';
import { exits } from './failures.ts';
import { readFacts, statFormat } from './facts.ts';
import { quote, setPath, toPath } from './path-text.ts';
import { type RunCommand, fields, runScript, unless } from './run-script.ts';

/** Directories that hold no work of their own and very many names. */
export const skipped = '-name .git -prune -o -name node_modules -prune -o';

const printed = String.raw`%y\0%s\0%m\0%U\0%G\0%T@\0%P\0`;
const fieldCount = 7;

const aDirectory = [unless('[ -e "$P" ]', 'absent'), unless('[ -d "$P" ]', 'notADirectory')].join('');

/** Names of a batch, each ended, then an empty one, then what `stat` says of each with its name, then an end. */
const describeBatch = `printf '%s\\0' "$@"; printf '\\0'; stat -c '${statFormat} %n' "$@" 2>/dev/null; printf '\\0'`;

/** Lists what is below a directory. The image's `find` prints all of it when it can; else `stat` is asked in batches. */
export async function listFiles(
  run: RunCommand,
  access: FileAccess,
  { path, depth }: ListFiles,
): Promise<readonly FileFacts[]> {
  const below = `find "\${P%/}/" -mindepth 1 -maxdepth ${depth}`;
  const text = [
    setPath('P', path),
    aDirectory,
    `[ -r "$P" ] && [ -x "$P" ] || exit ${exits.denied}\n`,
    `if find / -maxdepth 0 -printf '' 2>/dev/null; then printf 'p\\0'; ${below} -printf '${printed}'\n`,
    `else printf 's\\0'; ${below} -exec sh -c ${quote(describeBatch)} sh {} +; fi\n`,
  ].join('');
  const { stdout } = await runScript(run, access, { path, text, fine: [1] });
  const parts = [...fields(stdout)];
  const entries =
    parts[0]?.toString('latin1') === 'p' ? readPrinted(parts.slice(1)) : readBatches(path, parts.slice(1));
  return entries.toSorted((one, other) => (one.path < other.path ? -1 : 1));
}

const letters: Readonly<Record<string, FileType>> = { f: 'file', d: 'directory', l: 'symlink', p: 'fifo', s: 'socket' };

function readPrinted(parts: readonly Buffer[]): FileFacts[] {
  const entries: FileFacts[] = [];
  for (let at = 0; at + fieldCount <= parts.length; at += fieldCount) {
    const [type = '', size, mode = '0', uid, gid, seconds] = parts
      .slice(at, at + 6)
      .map((part) => part.toString('latin1'));
    entries.push({
      path: toPath(parts[at + 6] ?? Buffer.alloc(0)),
      type: letters[type] ?? 'device',
      sizeBytes: Number(size),
      mode: Number.parseInt(mode, 8),
      uid: Number(uid),
      gid: Number(gid),
      modifiedMs: Math.floor(Number(seconds) * 1_000),
    });
  }
  return entries;
}

/** A name may hold line breaks: what `stat` says of it is found by the name that was given to it. */
function readBatches(path: SandboxPath, parts: readonly Buffer[]): FileFacts[] {
  const entries: FileFacts[] = [];
  let names: Buffer[] = [];
  for (let at = 0; at < parts.length; at += 1) {
    const part = parts[at] ?? Buffer.alloc(0);
    if (part.length > 0) {
      names.push(part);
      continue;
    }
    at += 1;
    let rest = parts[at]?.toString('latin1') ?? '';
    for (const name of names) {
      const written = name.toString('latin1');
      const [line = ''] = /^[0-9a-f]+ \d+ \d+ \d+ \d+ /.exec(rest) ?? [];
      if (line === '' || !rest.startsWith(`${written}\n`, line.length)) continue;
      entries.push(readFacts(relativeTo(path, toPath(name)), line));
      rest = rest.slice(line.length + written.length + 1);
    }
    names = [];
  }
  return entries;
}

/** Hands on the paths below a directory as they are found. */
export async function fileNames(
  run: RunCommand,
  access: FileAccess,
  path: SandboxPath,
  take: (path: string) => void,
): Promise<void> {
  const text = `${setPath('P', path)}${aDirectory}find "\${P%/}/" -mindepth 1 ${skipped} -print0\n`;
  let rest: Buffer = Buffer.alloc(0);
  const onStdout = (chunk: Uint8Array): void => {
    const bytes = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk]);
    for (const name of fields(bytes)) take(relativeTo(path, toPath(name)));
    rest = Buffer.from(bytes.subarray(bytes.lastIndexOf(0) + 1));
    if (rest.length <= 65_536) return;
    throw new OpencodeToolsError('OCT_RESOURCE_LIMIT', 'A name is longer than names can be');
  };
  await runScript(run, access, { path, text, onStdout, fine: [1] });
}

export function relativeTo(directory: SandboxPath, path: SandboxPath): string {
  return path.slice(directory.length + (directory.endsWith('/') ? 0 : 1));
}
