import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/**
 * Removes what an engine keeps of a home whose tasks are deleted: the layers of their last checkpoints. To be called before the directory
 * goes, when no process has the home open.
 */
export async function removeLayersOf(home: string): Promise<void> {
  const text = await readFile(join(home, 'home.json'), 'utf8').catch(() => '');
  const homeId = /"homeId":"(hom_[0-9a-z]+)"/.exec(text)?.[1];
  if (homeId === undefined) return;
  const labels = [`io.opencode-tools.home=${homeId}`, 'io.opencode-tools.kind=layers'];
  const filters = labels.flatMap((label) => ['--filter', `label=${label}`]);
  const { stdout } = await run('docker', ['volume', 'ls', '-q', ...filters]);
  const names = stdout.split('\n').filter((name) => name !== '');
  if (names.length > 0) await run('docker', ['volume', 'rm', ...names]);
}
