/** Directories that a checkpoint brings back: workspace, home volume, and a part of the root file system. */
const places = ['/workspace', '/home/agent', '/usr/local/bin'];

const listing = `
set -eu
for place in ${places.join(' ')}; do
  cd "$place"
  echo "== $place"
  find . -mindepth 1 -printf '%y %m %U:%G %P %l\\n' | LC_ALL=C sort
  find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum
done`;

/**
 * Lists, from inside the sandbox, every path with type, mode, owner and link target, and the SHA-256 of every file.
 * Two equal listings are two equal trees.
 */
export async function readTree(cli, taskId, session) {
  const args = session === undefined ? [] : ['--session', session];
  const { stdout } = await cli.call('exec', taskId, ...args, '--script', listing);
  if (stdout.truncated)
    throw new Error(`The listing of ${taskId} is too long to compare (${stdout.totalBytes} bytes).`);
  return stdout.text.split('\n').filter((line) => line !== '');
}

/** The first lines in which two trees differ; undefined when they are equal. */
export function differenceOf(before, after) {
  const gone = before.filter((line) => !after.includes(line)).slice(0, 5);
  const added = after.filter((line) => !before.includes(line)).slice(0, 5);
  if (gone.length === 0 && added.length === 0 && before.length === after.length) return undefined;
  return { gone, added };
}

/** How many paths of each kind a tree has. */
export function kindsOf(tree) {
  const count = (kind) => tree.filter((line) => line.startsWith(`${kind} `)).length;
  return { files: count('f'), directories: count('d'), links: count('l') };
}
