import { spawnSync } from 'node:child_process';
import type { ReadStream } from 'node:tty';

const limitMs = 2_000;

/**
 * Has a terminal pass every byte on as it is, keys and output. `setRawMode(false)` brings back what it was.
 *
 * The raw mode of Node leaves the terminal to put a carriage return before every line feed (`ONLCR`), which throws programs off that
 * move the cursor straight down, such as those made with curses. Where there is no `stty`, such as on Windows, that stays.
 */
export function makeRaw(keys: ReadStream): void {
  keys.setRawMode(true);
  spawnSync('stty', ['-opost'], { stdio: ['inherit', 'ignore', 'ignore'], timeout: limitMs });
}
