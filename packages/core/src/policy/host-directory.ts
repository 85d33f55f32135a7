import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import { type ForbiddenPath, type HostFacts, forbiddenHostPath, isWithin } from './forbidden-host-path.ts';

/** Directories by these names hold what programs of the host run or obey, wherever they are. */
const steeringNames = new Set(
  '.git .githooks .husky .github .gitlab .circleci .opencode .claude .cursor .codex .gemini .agents .windsurf .roo .kiro .continue .amazonq .junie .vscode .idea .zed .fleet .devcontainer .cargo .mvn'.split(
    ' ',
  ),
);
/** In a home directory, beside all that begins with a dot: these, what holds them, and anything in them. */
const steeringOfHome = [
  'bin',
  'go/bin',
  'node_modules',
  'perl5',
  'snap',
  'Applications',
  'AppData',
  'Library/Application Support',
  'Library/Keyboard Layouts',
  'Library/LaunchAgents',
  'Library/Preferences',
  'Library/Scripts',
  'Library/Services',
];
const homePattern = /^\/(?:root|(?:home|Users)\/[^/]+)(?=\/|$)/;

/**
 * Decides whether a directory is one that work may be written to: a bind workspace, or where changes are applied. Programs of the host must
 * not run or obey what is in it by where it lies, as with all that begins with a dot in a home directory. Pure, so the caller resolves
 * links first, in the path and in the facts.
 *
 * @param path a real path, absolute and normal
 * @returns why not; undefined for a directory of work
 */
export function steeringHostPath(path: string, facts: HostFacts = {}): ForbiddenPath | undefined {
  const { steeringPaths = [], programDirectories = [] } = facts;
  const homes = homesAround(path, facts);
  const kept =
    hiddenInHome(path, homes) ??
    homes
      .flatMap((home) => steeringOfHome.map((name) => `${home}/${name}`))
      .find((place) => isWithin(path, place) || isWithin(place, path)) ??
    namedSo(path) ??
    // A link or a variable that leads to a home directory, or to what holds one, would keep everything.
    steeringPaths
      .filter((place) => !homes.some((home) => isWithin(home, place)))
      .find((place) => isWithin(path, place) || isWithin(place, path)) ??
    programDirectories.find((place) => isWithin(path, place));
  return kept === undefined ? undefined : { place: 'host-programs', path: kept };
}

/**
 * Sees to it that a directory of the host is one that work may be written to.
 *
 * @param path a real path, absolute and normal
 * @param facts of the host, by real paths
 * @throws OpencodeToolsError `OCT_POLICY_DENIED`
 */
export function assertHostDirectory(path: string, facts: HostFacts = {}): void {
  const seen = forbiddenHostPath(path, facts);
  const kept = seen ?? steeringHostPath(path, facts);
  if (kept === undefined) return;
  const message = seen
    ? `A sandbox never sees ${kept.path}; it would through ${path}`
    : `No task writes to ${path}: programs of the host run or obey what is in ${kept.path}`;
  throw new OpencodeToolsError('OCT_POLICY_DENIED', message, {
    remedy:
      kept.path !== path && isWithin(kept.path, path)
        ? `Keep ${kept.path} out of that directory: a variable, a link in your home directory or \`--config\` leads there.`
        : 'Name the directory of one project.',
    details: { path, kept: kept.path },
  });
}

function homesAround(path: string, { userHomes = [] }: HostFacts): readonly string[] {
  const usual = homePattern.exec(path)?.[0];
  const homes = userHomes.filter((home) => home !== '' && home !== '/');
  return usual === undefined || homes.includes(usual) ? homes : [...homes, usual];
}

function hiddenInHome(path: string, homes: readonly string[]): string | undefined {
  for (const home of homes) {
    const name = isWithin(path, home) ? path.slice(home.length + 1).split('/')[0] : undefined;
    if (name?.startsWith('.') === true && name !== '.' && !isWorkTree(path)) return `${home}/${name}`;
  }
  return undefined;
}

function namedSo(path: string): string | undefined {
  if (isWorkTree(path)) return undefined;
  const names = path.split('/');
  const at = names.findIndex((name) => steeringNames.has(name.toLowerCase()));
  return at === -1 ? undefined : names.slice(0, at + 1).join('/');
}

/** Agents keep work trees of projects beside their settings: `~/.codex/worktrees/1a2b/project`, `.claude/worktrees/login`. */
function isWorkTree(path: string): boolean {
  const [, before, below] = /^(.*?\/\.(?:codex|cursor|claude|gemini)\/worktrees)\/(.+)$/.exec(path) ?? [];
  if (before === undefined || below === undefined) return false;
  const names = before.split('/').slice(0, -2);
  return ![...names, ...below.split('/')].some((name) => steeringNames.has(name.toLowerCase()));
}
