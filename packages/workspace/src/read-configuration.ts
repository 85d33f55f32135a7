import { resolve } from 'node:path';
import type { GitCall, GitRunner } from './git-runner.ts';

/** One setting of git's configuration. */
export interface ConfigurationEntry {
  /** File that says so, absolute. */
  readonly file: string;
  /** In small letters, but for what is between its first and last dot. */
  readonly key: string;
  /** `true` for a key that stands alone. */
  readonly value: string;
}

/**
 * Reads what files say that git reads in a directory, and what these include; later ones count more. Other origins are left out.
 *
 * @param only this file, in place of those
 */
export async function readConfiguration(
  git: GitRunner,
  call: GitCall,
  only?: string,
): Promise<readonly ConfigurationEntry[]> {
  const from = only === undefined ? [] : ['--file', only];
  const out = await git.run(['config', '-z', '--list', '--show-origin', '--includes', ...from], call);
  const words = out.toString('utf8').split('\0');
  const entries: ConfigurationEntry[] = [];
  for (let at = 0; at + 1 < words.length; at += 2) {
    const [origin = '', entry = ''] = words.slice(at, at + 2);
    if (!origin.startsWith('file:')) continue;
    const key = entry.split('\n', 1)[0] ?? '';
    const value = entry.length === key.length ? 'true' : entry.slice(key.length + 1);
    entries.push({ file: resolve(call.cwd, origin.slice('file:'.length)), key, value });
  }
  return entries;
}
