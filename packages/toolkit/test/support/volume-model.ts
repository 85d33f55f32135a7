import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Runs bash with a script on its input, and gives what it wrote. Ends a script that waits for something, and fails. */
export async function bash(argv: readonly string[], script: string): Promise<string> {
  const [command = 'bash', ...rest] = argv;
  const child = spawn(command, rest, { stdio: ['pipe', 'pipe', 'pipe'], timeout: 120_000 });
  const [out, err]: [Buffer[], Buffer[]] = [[], []];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
  const closed = once(child, 'close');
  child.stdin.end(Buffer.from(script, 'latin1'));
  const [code, signal] = (await closed) as [number | null, NodeJS.Signals | null];
  if (code !== 0) throw new Error(`bash ended with ${code ?? signal}: ${Buffer.concat(err).toString()}\n${script}`);
  return Buffer.concat(out).toString('latin1');
}

export async function docker(...argv: readonly string[]): Promise<string> {
  return (await run('docker', [...argv])).stdout.trim();
}

const names = [
  'a',
  'b',
  'c.txt',
  'a b',
  '.git',
  '-n',
  "it's",
  '"',
  '\\',
  'tab\t',
  'line\nfeed',
  '\xff\xfe',
  '*',
  'x'.repeat(120),
];
const setxattr = { x64: 188, arm64: 5 }[process.arch as 'x64' | 'arm64'];
const lgetxattr = { x64: 192, arm64: 9 }[process.arch as 'x64' | 'arm64'];

export interface Keeps {
  /** FIFOs, which some stores leave out. */
  readonly pipes: boolean;
}

/**
 * Makes up edits of a tree as lines of bash, from the paths that are there. Every line may fail: it then fails on equal trees
 * alike.
 */
export function makeEdits(paths: readonly string[], count: number, random: () => number, keeps: Keeps): string {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const number = (most: number): number => Math.floor(random() * most);
  const lines: string[] = [];
  for (let index = 0; index < count; index += 1) {
    const [one, other] = [quote(`./${pick(paths)}`), quote(`./${pick(paths)}`)];
    const fresh = quote(`./${pick(paths)}/${pick(names)}`);
    const beside = `"$(dirname -- ${one}; printf x)"`;
    const inside = `d=${beside}; d=\${d%?x}; n="$d"/${quote(pick(names))}`;
    const time = `${number(900_000_000)}.${String(number(1e9)).padStart(9, '0')}`;
    const text = `printf '%s' ${index}-${number(1e9)}`;
    const edits = [
      `[ -d ${one} ] && [ ! -e ${fresh} ] && ${text} >${fresh}`,
      `${inside}; [ ! -d "$n" ] && [ ! -p "$n" ] && ${text} >"$n"`,
      `[ -f ${one} ] && [ ! -L ${one} ] && ${text} >>${one}`,
      `[ -f ${one} ] && [ ! -L ${one} ] && { cat ${one}; ${text}; } >.new && mv -T .new ${one}`,
      `${inside}; mkdir "$n"`,
      `[ -d ${one} ] && [ ! -L ${one} ] && mkdir -p ${fresh}/deep/er && ${text} >${fresh}/deep/er/file`,
      `${inside}; ln -s 'no where' "$n"`,
      `${inside}; [ -f ${one} ] && ln ${one} "$n"`,
      `${inside}; [ -f ${one} ] && ln ${one} "$n"`,
      `rm -rf ${one}`,
      `[ "$(basename -- ${one})" != . ] && mv -T ${one} ${fresh}`,
      `${inside}; mv -T ${one} "$n"`,
      `${inside}; mv -T ${one} "$n"`,
      `[ -d ${one} ] && rm -rf ${one} && ${text} >${one}`,
      `[ -d ${one} ] && [ ! -L ${one} ] && rm -rf ${one} && mkdir ${one} && ${text} >${one}/again`,
      `[ -f ${one} ] && rm -f ${one} && mkdir ${one} && ${text} >${one}/inside`,
      `[ -f ${one} ] && [ -f ${other} ] && mv -T ${one} ${other}`,
      `[ ! -L ${one} ] && chmod ${pick(['700', '4755', '640', '1777', '2755'])} ${one}`,
      `chown -h ${pick(['1000:1000', '1234:4321', '0:0'])} ${one}`,
      `touch -h -d @${time} ${one}`,
      `[ -f ${one} ] && [ ! -L ${one} ] && truncate -s 3000000 ${one}`,
      `[ -e ${one} ] && [ ! -L ${one} ] && perl -e 'my ($p, $k, $v) = @ARGV; syscall(${setxattr}, "$p\\0", "$k\\0", $v, length $v, 0)' ${one} user.k${number(3)} v${number(1e6)}`,
      ...(keeps.pipes ? [`${inside}; mkfifo "$n"`] : []),
    ];
    lines.push(`( ${pick(edits)} ) 2>/dev/null`);
  }
  // What was changed just now gets the same time wherever the script runs.
  lines.push(`find . -mindepth 1 -newermt 2020-01-01 -print0 | xargs -0r touch -h -d @1000000000.${number(1e9)}`);
  return `cd "$1" && export LC_ALL=C; umask 022\n${lines.join('\n')}\n:`;
}

/** Lists the names of a tree, the top as the empty path. */
export const listScript = `cd "$1" && find . -printf '%P\\0'`;

/** Counts the entries of a tree, and the bytes of its files, those of several names once. */
export const countScript = [
  'cd "$1" && export LC_ALL=C',
  "printf '%s ' $(find . -printf x | wc -c)",
  "find . -type f -printf '%D:%i %s\\n' | sort -u | awk '{ sum += $2 } END { print sum + 0 }'",
].join('\n');

/** Says everything about a tree but when its top changed: a line per name, then digests, extended attributes and which files have holes. */
export const describeScript = [
  'cd "$1" && export LC_ALL=C',
  "find . -mindepth 1 -type d -printf 'd %m %U %G %T@ %P\\0' -o -mindepth 1 -printf '%y %m %U %G %n %s %T@ %P %l\\0' | sort -z | cat -v",
  'find . -type f -print0 | sort -z | xargs -0r sha256sum -z | cat -v',
  // Which names are one file.
  "find . -type f -links +1 -printf '%i %P\\0' | sort -z -k2 | perl -0ne 'chomp; my ($i, $p) = split / /, $_, 2; $g{$i} //= ++$n; print \"$g{$i} $p\\n\"' | cat -v",
  `find . -print0 | sort -z | perl -0ne 'chomp; my $p = $_; for my $k (0..2) { my $b = "\\0" x 64; my $n = syscall(${lgetxattr}, "$p\\0", "user.k$k\\0", $b, 64); print "$p k$k ", substr($b, 0, $n), "\\n" if $n >= 0 }' | cat -v`,
  'find . -type f -size +2M -printf \'%b %s %P\\0\' | sort -z -k3 | perl -0ne \'chomp; my ($b, $s, $p) = split / /, $_, 3; print $b * 512 < $s / 2 ? "holes $p\\n" : "full $p\\n"\' | cat -v',
].join('\n');

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
