import { createHash } from 'node:crypto';
import type { ByteStream, FileAccess, WriteFile, WrittenFile } from '@opencode-tools/core';
import { exits } from './failures.ts';
import { octal, quote, setPath, toPath } from './path-text.ts';
import { assertTemporary } from './temporary.ts';
import { type RunCommand, fields, runScript } from './run-script.ts';

/** Longer content goes by standard input, which costs a lane of its own; a script is one argument of at most 128 KiB. */
const mostInline = 32 * 1024;

/** How often, 50 ms apart, a write waits for another to the same sandbox. */
const mostWaits = 400;

const mostLooks = 5;

/**
 * Writes a file: into a new file beside it, then renamed over it, so that no reader ever sees half. Small content is part of
 * the script. Longer content is brought in first and checked by size and digest before it takes its place: the end of
 * a stream whose writer died looks like any other.
 */
export async function writeFile(run: RunCommand, access: FileAccess, request: WriteFile): Promise<WrittenFile> {
  const { path, content } = request;
  const resolve = resolveTarget(request, assertTemporary(request.temporary));
  let begin = `${setPath('P', path)}${resolve}`;
  const word = content instanceof Uint8Array ? inlineWord(content) : undefined;
  if (word !== undefined && content instanceof Uint8Array) {
    const fill = `{ ${word}; } >"$T" || exit 19\n`;
    const { stdout } = await runScript(run, access, { path, text: `${begin}${trapped}${fill}${install(request)}` });
    return { ...readAnswer(stdout), sizeBytes: content.length, digest: sha256(content) };
  }
  const { stream, sum } = summed(content);
  try {
    const fill = `${begin}cat >"$T" || { rm -f "$T"; exit 19; }\nprintf '%s\\0' "$R"\n`;
    const filled = await runScript(run, access, { path, text: fill, stdin: stream });
    // What comes next happens where the bytes are, also when the path has become a link to elsewhere since.
    const [target = Buffer.alloc(0)] = [...fields(filled.stdout)];
    begin = `${setPath('P', toPath(target))}${resolve}`;
    const { bytes, digest } = sum();
    const check = `[ "$(sha256sum <"$T")" = ${quote(`${digest}  -`)} ] || exit ${exits.noProgram}\n`;
    const { stdout } = await runScript(run, access, { path, text: `${begin}${trapped}${check}${install(request)}` });
    return { ...readAnswer(stdout), sizeBytes: bytes, digest };
  } catch (error) {
    const text = `${begin}rm -f "$T"\n`;
    await runScript(run, { ...access, signal: AbortSignal.timeout(10_000) }, { path, text }).catch(() => undefined);
    throw error;
  }
}

const trapped = `trap '[ ! -e "$T" ] || rm -f "$T"' EXIT\n`;

/**
 * Sets R to where the bytes go, T to the file beside it, N when there is none yet, M to the mode of one that is there.
 * A link may be replaced between one look and the next, so that none of them is wrong and all of them together are: what
 * speaks against the write has to do so each time.
 */
function resolveTarget({ makeParents, expect }: WriteFile, temporary: string): string {
  const must = (condition: string, exit: keyof typeof exits): string => `${condition} || return ${exits[exit]}\n`;
  const real = `R=$(readlink -f "$P"; echo .); R=\${R%.}; R=\${R%?}; ${must('[ "$R" ]', 'absent')}`;
  return [
    'D=${P%/*}; [ "$D" ] || D=/\n',
    makeParents ? `[ -d "$D" ] || mkdir -p "$D" || exit 19\n` : '',
    `look() {\nR=; [ -L "$P" ] && { ${real}}\n`,
    'D=${R:-$P}; D=${D%/*}; [ "$D" ] || D=/\n',
    must('[ -d "$D" ]', 'absent'),
    must('D=$(cd -P "$D" && pwd && echo .)', 'denied'),
    'D=${D%??}; [ "$D" = / ] && D=\n',
    'N=${R:-$P}; R=$D/${N##*/}; T=$D/',
    `${temporary}\n`,
    'N=; [ -e "$R" ] || N=1\n',
    must('[ "$N" ] || [ -f "$R" ]', 'notAFile'),
    expect?.kind === 'absent' ? must('[ "$N" ]', 'exists') : '',
    expect?.kind === 'digest' ? must('[ ! "$N" ]', 'absent') : '',
    must('[ "$N" ] || [ -w "$R" ]', 'denied'),
    '[ "$N" ] || M=$(stat -L -c %a "$R") || return 19\n',
    `}\n${Array.from({ length: mostLooks }, () => 'look').join(' || ')} || exit $?\n`,
  ].join('');
}

/** Puts T in the place of R, when R is what it is expected to be. */
function install({ mode, expect }: WriteFile): string {
  const wanted = mode === undefined ? '$M' : mode.toString(8);
  const setMode = mode === undefined ? '[ "$N" ] || ' : '';
  const done = `printf '%s\\0%s\\0' "$R" "$N"\n`;
  const change = `${setMode}chmod "${wanted}" "$T" || exit 19\n`;
  if (expect?.kind === 'absent') {
    const link = `ln "$T" "$R" 2>/dev/null || { [ -e "$R" ] || [ -L "$R" ] && exit ${exits.exists}; mv -n "$T" "$R"; [ -e "$T" ] && exit ${exits.exists}; }\n`;
    return `${change}${link}${done}`;
  }
  const rename = 'mv -f "$T" "$R" || exit 19\n';
  if (expect === undefined) return `${change}${rename}${done}`;
  return `${change}${lock}S=$(sha256sum <"$R") || exit 19\n[ "\${S%% *}" = ${quote(expect.digest)} ] || exit ${exits.changed}\n${rename}${done}`;
}

/** Comparing and renaming are two steps: writers that compare take turns. The kernel lets go of the lock of one that dies. */
const lock = `if command -v flock >/dev/null; then
exec 9>>/tmp/.oct-files.lock; i=0
until flock -n 9; do i=$((i + 1)); [ $i -gt ${mostWaits} ] && exit ${exits.busy}; sleep 0.05; done
fi
`;

function readAnswer(stdout: Buffer): Pick<WrittenFile, 'path' | 'created'> {
  const [path = Buffer.alloc(0), created = Buffer.alloc(0)] = [...fields(stdout)];
  return { path: toPath(path), created: created.length > 0 };
}

/** Undefined when it would be too long. Text goes as it is; NUL and what is no UTF-8 as octal numbers. */
function inlineWord(content: Uint8Array): string | undefined {
  if (content.length === 0) return ':';
  if (content.length > mostInline) return undefined;
  const bytes = Buffer.from(content);
  const text = bytes.toString('utf8');
  if (!text.includes('\0') && Buffer.from(text, 'utf8').equals(bytes)) return fitting(`printf '%s' ${quote(text)}`);
  let escaped = '';
  for (const byte of bytes) {
    if (byte === 0x5c) escaped += '\\\\';
    else escaped += byte === 0 || byte >= 0x80 ? octal(byte) : String.fromCharCode(byte);
  }
  return fitting(`printf '%b' ${quote(escaped)}`);
}

function fitting(word: string): string | undefined {
  return Buffer.byteLength(word) <= 2 * mostInline ? word : undefined;
}

function summed(content: Uint8Array | ByteStream) {
  const hash = createHash('sha256');
  let bytes = 0;
  async function* stream(): AsyncGenerator<Uint8Array> {
    for await (const chunk of content instanceof Uint8Array ? [content] : content) {
      hash.update(chunk);
      bytes += chunk.length;
      yield chunk;
    }
  }
  return { stream: stream(), sum: () => ({ bytes, digest: hash.digest('hex') }) };
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
