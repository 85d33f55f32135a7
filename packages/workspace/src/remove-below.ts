import { chmodSync, lstatSync, readdirSync, renameSync, rmdirSync, unlinkSync } from 'node:fs';
import { type BytePath, toFs } from './byte-path.ts';

/** From here on a directory is moved to a shorter path before what is in it is removed. */
const mostBytes = 900;

/**
 * Removes everything in a directory, however deep it lies: no path that is used is longer than a system takes. Follows no link.
 *
 * @param shortPath gives a new path on the same file system
 */
export function removeBelow(directory: BytePath, shortPath: () => BytePath): void {
  const waiting: BytePath[] = [];
  const empty = (from: BytePath): void => {
    const mode = lstatSync(toFs(from)).mode & 0o7777;
    if ((mode & 0o700) !== 0o700) chmodSync(toFs(from), mode | 0o700);
    for (const name of readdirSync(toFs(from), { encoding: 'latin1' })) {
      const path = `${from}/${name}`;
      if (!lstatSync(toFs(path)).isDirectory()) unlinkSync(toFs(path));
      else if (path.length > Math.max(mostBytes, directory.length)) {
        const moved = shortPath();
        renameSync(toFs(path), toFs(moved));
        waiting.push(moved);
      } else {
        empty(path);
        rmdirSync(toFs(path));
      }
    }
  };
  empty(directory);
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    empty(next);
    rmdirSync(toFs(next));
  }
}
