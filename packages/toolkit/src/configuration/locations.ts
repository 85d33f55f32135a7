import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import type { Environment } from './environment.ts';

/** Name of the configuration file, in `.opencode/` of a project and in the user's configuration directory. */
const configurationFileName = 'opencode-tools.yaml';

/** The facts about a machine that decide where files are. */
export interface Place {
  readonly cwd: string;
  readonly environment: Environment;
  readonly platform: NodeJS.Platform;
}

/**
 * Finds the project's configuration file: in `.opencode/` of the working directory or of a directory above it, up to
 * the top of the git work tree. Outside of a work tree only the working directory is looked at.
 */
export function findProjectFile({ cwd }: Place): string | undefined {
  let nearest: string | undefined;
  for (let directory = resolve(cwd); ; directory = dirname(directory)) {
    const file = join(directory, '.opencode', configurationFileName);
    if (existsSync(file)) nearest ??= file;
    if (existsSync(join(directory, '.git'))) return nearest;
    if (directory === dirname(directory)) break;
  }
  const own = join(resolve(cwd), '.opencode', configurationFileName);
  return nearest === own ? own : undefined;
}

/** The user's configuration file, whether it exists or not. */
export function userFile(place: Place): string {
  return join(userDirectory(place, 'configuration'), 'opencode-tools', configurationFileName);
}

/**
 * Decides the home directory: `home` as given, `OPENCODE_TOOLS_HOME`, the key `home`, else the data directory of the
 * platform. Always absolute.
 */
export function resolveHome(place: Place, given: string | undefined, configured: string | null): string {
  const named = given ?? (place.environment['OPENCODE_TOOLS_HOME'] || configured);
  if (named === null) return join(userDirectory(place, 'data'), 'opencode-tools');
  return resolve(place.cwd, expandPath(place, named));
}

/** What begins with `~/` is in the home directory of the user. */
export function expandPath(place: Place, path: string): string {
  return path.startsWith('~/') ? join(userHome(place), path.slice(2)) : path;
}

function userDirectory(place: Place, kind: 'configuration' | 'data'): string {
  const { environment, platform } = place;
  if (platform === 'win32') {
    const roaming = kind === 'configuration';
    const named = environment[roaming ? 'APPDATA' : 'LOCALAPPDATA'];
    return named || join(userHome(place), 'AppData', roaming ? 'Roaming' : 'Local');
  }
  const named = environment[kind === 'configuration' ? 'XDG_CONFIG_HOME' : 'XDG_DATA_HOME'];
  // The base directory specification: relative paths are invalid and ignored.
  if (named?.startsWith('/') === true) return named;
  if (kind === 'configuration') return join(userHome(place), '.config');
  return platform === 'darwin'
    ? join(userHome(place), 'Library', 'Application Support')
    : join(userHome(place), '.local', 'share');
}

export function userHome({ environment, platform }: Place): string {
  return (platform === 'win32' ? environment['USERPROFILE'] : environment['HOME']) || homedir();
}
