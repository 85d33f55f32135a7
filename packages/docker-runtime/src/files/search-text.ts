import { type FileAccess, OpencodeToolsError, type SearchText, type TextMatch } from '@opencode-tools/core';
import { exits } from './failures.ts';
import { relativeTo, skipped } from './list-files.ts';
import { quote, setPath, toPath } from './path-text.ts';
import { type RunCommand, runScript, unless } from './run-script.ts';

/** Of one line, and of what one file may give. */
const mostLineCharacters = 1_000;
const mostPerFile = 1_000;

interface Found {
  readonly matches: readonly TextMatch[];
  readonly truncated: boolean;
}

/** Searches with ripgrep when the image has it, else with grep; both see the same files. */
export async function searchText(run: RunCommand, access: FileAccess, request: SearchText): Promise<Found> {
  const enough = new AbortController();
  const found = new Finds(request, enough);
  const text = [
    setPath('P', request.path),
    unless('[ -e "$P" ]', 'absent'),
    unless('[ -d "$P" ] || [ -f "$P" ]', 'notAFile'),
    `pattern=${quote(request.pattern)}\n`,
    `if command -v rg >/dev/null; then printf 'r'; ${withRipgrep(request)}`,
    `else printf 'g'; ${withGrep(request)}fi\n`,
  ].join('');
  await runScript(run, access, {
    path: request.path,
    text,
    onStdout: (chunk) => found.take(Buffer.from(chunk)),
    enough: enough.signal,
  });
  return { matches: found.matches, truncated: found.truncated };
}

/** For a grep that cannot tell, such as busybox's, which takes `-I` and ignores it: no NUL in its beginning. */
const isText = `case $o in *-I*) ;; *) [ "$(head -c 8192 "$f" | wc -c)" = "$(head -c 8192 "$f" | tr -d "\\000" | wc -c)" ] ;; esac`;

function withRipgrep({ kind, ignoreCase }: SearchText): string {
  const options = `--no-config --hidden --no-ignore --no-messages -g '!.git' -g '!node_modules'${kind === 'literal' ? ' -F' : ''}${ignoreCase ? ' -i' : ''}`;
  return [
    `rg ${options} -e "$pattern" /dev/null >/dev/null; [ $? -lt 2 ] || exit ${exits.badPattern}\n`,
    `rg --json ${options} -m ${mostPerFile} -e "$pattern" "$P"; true\n`,
  ].join('');
}

/**
 * One grep per batch finds out whether to look at its files one by one: then each answer belongs to one name, whatever is in
 * that name.
 */
function withGrep({ kind, ignoreCase }: SearchText): string {
  const options = `${kind === 'literal' ? '-F' : '-E'}${ignoreCase ? ' -i' : ''}`;
  const one = `m=$(grep -n $o -m ${mostPerFile} -e "$p" -- "$f" 2>/dev/null | head -c 1000000 | tr -d "\\000"); [ "$m" ] && printf "%s\\0%s\\0" "$f" "$m"`;
  const batch = `o=$1 p=$2; shift 2; grep -q $o -e "$p" -- "$@" 2>/dev/null || exit 0; for f; do ${isText} || continue; ${one}; done; exit 0`;
  return [
    `o='${options}'; printf '\\n' | grep $o -e "$pattern" >/dev/null; [ $? -lt 2 ] || exit ${exits.badPattern}\n`,
    `printf 'x\\000' | grep -I -q -e x 2>/dev/null; [ $? = 1 ] && o="$o -I"\n`,
    `if [ -d "$P" ]; then find "\${P%/}/" ${skipped} -type f -print0 2>/dev/null; else printf '%s\\0' "$P"; fi | `,
    `xargs -0 -n 64 sh -c ${quote(batch)} sh "$o" "$pattern"; true\n`,
  ].join('');
}

/** Takes the output of either program as it comes, and says when there is enough. */
class Finds {
  readonly matches: TextMatch[] = [];
  truncated = false;
  readonly #request: SearchText;
  readonly #enough: AbortController;
  #format = '';
  #rest: Buffer = Buffer.alloc(0);
  #path: string | undefined;

  constructor(request: SearchText, enough: AbortController) {
    this.#request = request;
    this.#enough = enough;
  }

  take(chunk: Buffer): void {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    if (this.#format === '') {
      this.#format = bytes.subarray(0, 1).toString('latin1');
      bytes = bytes.subarray(1);
    }
    const mark = this.#format === 'r' ? 10 : 0;
    let from = 0;
    for (let to = bytes.indexOf(mark); to >= 0 && !this.truncated; to = bytes.indexOf(mark, from)) {
      const part = bytes.subarray(from, to);
      if (this.#format === 'r') this.#takeEvent(part.toString('utf8'));
      else this.#takeField(part);
      from = to + 1;
    }
    this.#rest = Buffer.from(bytes.subarray(from));
    if (this.truncated) this.#rest = Buffer.alloc(0);
    else if (this.#rest.length > 16 * 1024 ** 2)
      throw new OpencodeToolsError('OCT_RESOURCE_LIMIT', 'A line that holds the pattern is longer than 16 MiB');
  }

  #takeEvent(line: string): void {
    const event = JSON.parse(line) as RipgrepEvent;
    if (event.type !== 'match') return;
    const { path, lines, line_number } = event.data;
    this.#add(toPath(bytesOf(path)), line_number, bytesOf(lines).toString('utf8'));
  }

  #takeField(field: Buffer): void {
    if (this.#path === undefined) {
      this.#path = toPath(field);
      return;
    }
    for (const line of field.toString('utf8').split('\n')) {
      const colon = line.indexOf(':');
      this.#add(this.#path, Number(line.slice(0, colon)), line.slice(colon + 1));
    }
    this.#path = undefined;
  }

  #add(found: string, line: number, text: string): void {
    const { path: searched, accepts, limit } = this.#request;
    const path = found === searched ? (found.split('/').at(-1) ?? '') : relativeTo(searched, found);
    if (!Number.isInteger(line) || !accepts(path)) return;
    if (this.matches.length >= limit) {
      this.truncated = true;
      this.#enough.abort();
      return;
    }
    this.matches.push({
      path,
      line,
      text: text
        .replace(/\r?\n$/, '')
        .slice(0, mostLineCharacters)
        .toWellFormed(),
    });
  }
}

interface RipgrepEvent {
  readonly type: string;
  readonly data: { readonly path: RipgrepText; readonly lines: RipgrepText; readonly line_number: number };
}

type RipgrepText = { readonly text: string } | { readonly bytes: string };

function bytesOf(text: RipgrepText): Buffer {
  return 'text' in text ? Buffer.from(text.text, 'utf8') : Buffer.from(text.bytes, 'base64');
}
