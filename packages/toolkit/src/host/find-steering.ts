import { readdir, realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { SteeringFacts } from '@opencode-tools/core';
import { type Place, userFile, userHome } from '../configuration/locations.ts';

/** Variables that lead to what shells, git, agents and the engine's client obey wherever they run: files and directories. */
const leadingVariables = `XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME ZDOTDIR BASH_ENV ENV INPUTRC
  GIT_CONFIG_GLOBAL GIT_CONFIG_SYSTEM GIT_TEMPLATE_DIR GIT_EXEC_PATH
  OPENCODE_CONFIG OPENCODE_CONFIG_DIR CLAUDE_CONFIG_DIR CODEX_HOME DOCKER_CONFIG`.split(/\s+/);
/** And to directories of programs; a project that has its own in it is a project all the same. */
const programVariables = 'CARGO_HOME RUSTUP_HOME GOBIN PNPM_HOME NVM_DIR PYENV_ROOT VOLTA_HOME BUN_INSTALL'.split(' ');
const listOfDirectories = process.platform === 'win32' ? ';' : ':';

/**
 * Finds what programs of the host run or obey by where it is: the configuration of opencode-tools, what variables lead to, and what links in
 * the home directory and its `.config` lead to, as with files of a shell that are kept in a repository.
 *
 * @param configFile read in place of the project's
 */
export async function findSteering(place: Place, configFile: string | undefined): Promise<SteeringFacts> {
  const { cwd, environment } = place;
  const valuesOf = (names: readonly string[]): readonly string[] =>
    names.flatMap((name) => (environment[name]?.startsWith('/') === true ? [environment[name]] : []));
  const named = valuesOf(leadingVariables);
  const own = [dirname(userFile(place)), ...(configFile === undefined ? [] : [resolve(cwd, configFile)])];
  const home = userHome(place);
  const links = [...(await linksIn(home, /^\./)), ...(await linksIn(join(home, '.config'), /^/))];
  const onPath = (environment['PATH'] ?? '').split(listOfDirectories).filter((path) => path.startsWith('/'));
  const programs = [...onPath, ...valuesOf(programVariables)];
  return {
    steeringPaths: await realPaths([...own, ...named, ...links]),
    programDirectories: await realPaths(programs),
  };
}

async function linksIn(directory: string, names: RegExp): Promise<readonly string[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isSymbolicLink() && names.test(entry.name))
    .map(({ name }) => join(directory, name));
}

/** Of a link, where it is and where it leads. */
async function realPaths(paths: readonly (string | undefined)[]): Promise<readonly string[]> {
  const named = paths.filter((path): path is string => path !== undefined && path !== '').map((path) => resolve(path));
  const places = await Promise.all(
    named.map(async (path) => {
      const directory = await realpath(dirname(path)).catch(() => dirname(path));
      const place = join(directory, basename(path));
      return [place, await realpath(path).catch(() => place)];
    }),
  );
  return [...new Set(places.flat())];
}
