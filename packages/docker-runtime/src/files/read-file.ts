import { createHash } from 'node:crypto';
import type { FileAccess, FileBytes, FileFacts, ReadFile, SandboxPath } from '@opencode-tools/core';
import { readFacts, statFormat } from './facts.ts';
import { setPath, toPath } from './path-text.ts';
import { type RunCommand, fields, runScript, unless } from './run-script.ts';

/** Multiple of what file systems read at once; `dd` seeks by it. */
const blockBytes = 65_536;

const digestOf = 'D=$(sha256sum <"$P") || exit 19; D=${D%% *}\n';
/** In place of a digest that would take too long. */
const tooLarge = '-';

/** Reads a file, or a part of it. The size that a file has is not trusted: those of `/proc` have none. */
export async function readFile(run: RunCommand, access: FileAccess, request: ReadFile): Promise<FileBytes> {
  const { path, range, limitBytes } = request;
  const part = partOf(request);
  const text = [
    setPath('P', path),
    unless('[ -e "$P" ]', 'absent'),
    unless('[ -f "$P" ]', 'notAFile'),
    unless('[ -r "$P" ]', 'denied'),
    'D=\n',
    request.withDigest && range !== undefined ? digestCommand(request) : '',
    `F=$(stat -L -c '${statFormat}' "$P") || exit 19\n`,
    `printf '%s\\n' "$F $D"\n`,
    part.command,
  ].join('');
  const { stdout } = await runScript(run, access, { path, text });
  const end = stdout.indexOf(10);
  const header = stdout.subarray(0, end).toString('latin1');
  const facts = readFacts(path, header);
  const got = part.trim(stdout.subarray(end + 1));
  const bytes = got.subarray(0, limitBytes);
  const truncated = got.length > limitBytes || part.goesOn(got, facts);
  const whole = range === undefined && !truncated;
  if (!request.withDigest) return { facts, bytes, truncated, digest: null };
  const digest = whole ? sha256(bytes) : header.split(' ')[5] || (await ask(run, access, request));
  return { facts, bytes, truncated, digest: digest === tooLarge ? null : digest };
}

interface Part {
  readonly command: string;
  readonly trim: (bytes: Buffer) => Buffer;
  readonly goesOn: (got: Buffer, facts: FileFacts) => boolean;
}

/** How a range is cut out: bytes by seeking, lines by counting them. */
function partOf({ range, limitBytes }: ReadFile): Part {
  if (range === undefined)
    return { command: `head -c ${limitBytes + 1} "$P"\n`, trim: (bytes) => bytes, goesOn: () => false };
  if (range.unit === 'lines') {
    const { first, count } = range;
    const last = first + count;
    const command = `sed -n '${first},${last}p;${last}q' "$P" | head -c ${limitBytes + 1}\n`;
    return { command, trim: (bytes) => bytes, goesOn: () => false };
  }
  const { offset, length } = range;
  const wanted = Math.min(length, limitBytes);
  const skip = Math.floor(offset / blockBytes);
  const before = offset - skip * blockBytes;
  const blocks = Math.ceil((before + wanted) / blockBytes);
  return {
    command: `dd if="$P" bs=${blockBytes} skip=${skip} count=${blocks} 2>/dev/null\n`,
    trim: (bytes) => bytes.subarray(before, before + wanted),
    goesOn: (got, facts) => length > wanted && offset + got.length < facts.sizeBytes,
  };
}

function digestCommand({ digestLimitBytes }: ReadFile): string {
  if (digestLimitBytes === undefined) return digestOf;
  return `if [ "$(stat -L -c %s "$P")" -gt ${digestLimitBytes} ]; then D=${tooLarge}; else ${digestOf.trim()}; fi\n`;
}

async function ask(run: RunCommand, access: FileAccess, request: ReadFile): Promise<string> {
  const { path } = request;
  const { stdout } = await runScript(run, access, {
    path,
    text: `${setPath('P', path)}${unless('[ -f "$P" ]', 'notAFile')}${digestCommand(request)}printf '%s' "$D"`,
  });
  return stdout.toString('latin1');
}

/** Describes what a path is, and, for a link, what it says and where it ends. */
export async function statFile(
  run: RunCommand,
  access: FileAccess,
  path: SandboxPath,
): Promise<FileFacts & { readonly target: string | null; readonly real: SandboxPath | null }> {
  const text = [
    setPath('P', path),
    unless('[ -e "$P" ] || [ -L "$P" ]', 'absent'),
    `F=$(stat -c '${statFormat}' "$P") || exit 19\n`,
    `printf '%s\\0' "$F"\n`,
    '[ -L "$P" ] || exit 0\n',
    `T=$(readlink "$P"; echo .); printf '%s\\0' "\${T%??}"\n`,
    `R=$(readlink -f "$P" && echo .); printf '%s\\0' "\${R%??}"\n`,
  ].join('');
  const { stdout } = await runScript(run, access, { path, text });
  const [facts = Buffer.alloc(0), target, real] = [...fields(stdout)];
  const named = (bytes: Buffer | undefined): string | null =>
    bytes === undefined || bytes.length === 0 ? null : toPath(bytes);
  return { ...readFacts(path, facts.toString('latin1')), target: named(target), real: named(real) };
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
