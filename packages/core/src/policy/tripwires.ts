import path from 'node:path/posix';
import { plainPath } from './repository-files.ts';

/** One changed path of a workspace, as tripwires look at it. */
export interface ChangedFile {
  /** Relative to the workspace. */
  readonly path: string;
  readonly change: 'added' | 'modified' | 'deleted';
  readonly type: 'file' | 'directory' | 'symlink';
  /** Mode before, when there was a file, and after. */
  readonly modes: readonly [before: number | null, after: number | null];
  /** What a symbolic link says. */
  readonly target: string;
  /** Text before and after, for the few files whose meaning depends on it; null when there is none or it is too long. */
  readonly texts: readonly [before: string | null, after: string | null];
  /** See `repositoryFiles`. */
  readonly inRepository?: boolean | undefined;
  /** The same content was executable elsewhere before. */
  readonly wasExecutable?: boolean | undefined;
}

export const tripwireRules = [
  'git',
  'package-script',
  'build',
  'ci',
  'container',
  'editor',
  'shell',
  'agent',
  'link',
  'mode',
] as const;
export type TripwireRule = (typeof tripwireRules)[number];

/** A change that would run on the host, or steer who works there next. */
export interface Tripwire {
  readonly path: string;
  readonly rule: TripwireRule;
  readonly why: string;
}

type PathRule = readonly [rule: TripwireRule, pattern: RegExp, why: string];

/** Matched against the whole path in lower case: file systems of other hosts do not tell cases apart. */
const pathRules: readonly PathRule[] = [
  ['git', /(^|\/)(\.git|git~\d+)[. ]*(:[^/]*)?(\/|$)/, 'git obeys what is in a .git'],
  ['git', /(^|\/)(\.githooks|\.husky|\.git-hooks)\//, 'git hooks run on commit, checkout or push'],
  [
    'git',
    /(^|\/)(\.?lefthook(-local)?\.(ya?ml|toml|json)|\.pre-commit-config\.yaml|\.overcommit\.yml|\.lintstagedrc[^/]*)$/,
    'configures git hooks',
  ],
  ['git', /(^|\/)(\.gitmodules|\.gitconfig|\.lfsconfig)$/, 'git fetches from where this says'],
  [
    'package-script',
    /(^|\/)(\.npmrc|\.yarnrc(\.yml)?|\.pnpmfile\.[cm]?js|\.pnp\.[cm]?js|bunfig\.toml|\.yarn\/(plugins|releases)\/.*)$/,
    'package managers run or obey it',
  ],
  [
    'package-script',
    /(^|\/)(setup\.py|setup\.cfg|conftest\.py|sitecustomize\.py|usercustomize\.py|noxfile\.py|tox\.ini|[^/]*\.pth|pip\.conf|binding\.gyp)$/,
    'Python or npm runs it when installing or testing',
  ],
  [
    'build',
    /(^|\/)(gnumakefile|makefile|makefile\.[^/]*|[^/]*\.mk|\.?justfile|taskfile\.ya?ml|rakefile|gulpfile\.[^/]*|gruntfile\.[^/]*|build\.rs|build\.xml|build\.sbt|wscript|sconstruct|dangerfile|[^/]*\.gemspec|gemfile|podfile|fastfile|pom\.xml|directory\.build\.(props|targets|rsp)|directory\.packages\.props|magefiles?\.go|magefiles\/.*|\.bundle\/config|\.rspec)$/,
    'builds run it',
  ],
  [
    'build',
    /(^|\/)(\.cargo\/config(\.toml)?|cmakelists\.txt|[^/]*\.cmake|configure|configure\.ac|gradlew(\.bat)?|mvnw(\.cmd)?|gradle\/wrapper\/.*|\.mvn\/.*|[^/]*\.gradle(\.kts)?|meson\.build|build(\.bazel)?|workspace(\.bazel)?|module\.bazel|\.bazelrc)$/,
    'builds run it',
  ],
  [
    'build',
    /(^|\/)([^/]*\.config\.[cm]?[jt]s|\.(eslintrc|babelrc|prettierrc|stylelintrc|mocharc)\.[cm]?js|vitest\.workspace\.[jt]s|jest\.setup\.[jt]s|metro\.config\.js|deno\.jsonc?)$/,
    'tools run it when they start',
  ],
  [
    'ci',
    /(^|\/)(\.github\/(workflows|actions)\/.*|\.gitlab-ci\.yml|\.gitlab\/ci\/.*|\.circleci\/.*|jenkinsfile[^/]*|azure-pipelines[^/]*\.ya?ml|\.travis\.yml|\.drone\.(yml|jsonnet)|bitbucket-pipelines\.yml|\.buildkite\/.*|\.woodpecker(\.ya?ml|\/.*)|appveyor\.yml|cloudbuild\.ya?ml|buildspec\.ya?ml|\.ci\/.*|\.github\/(dependabot\.yml|codeowners))$/,
    'CI runs or obeys it, with its secrets',
  ],
  [
    'container',
    /(^|\/)([^/]*dockerfile[^/]*|containerfile[^/]*|(docker-)?compose[^/]*\.ya?ml|\.devcontainer(\.json|\/.*)|vagrantfile|tiltfile|skaffold\.ya?ml)$/,
    'builds or starts containers on the host',
  ],
  [
    'editor',
    /(^|\/)(\.vscode\/.*|\.idea\/.*|\.zed\/.*|\.fleet\/.*|\.vs\/.*|[^/]*\.code-workspace|[^/]*\.sublime-(project|workspace|build)|\.n?vimrc|\.n?vim\.lua|\.exrc|\.dir-locals\.el|\.vim\/.*)$/,
    'editors run tasks and settings from it',
  ],
  [
    'shell',
    /(^|\/)(\.envrc|\.env(\.[^/]*)?|\.tool-versions|\.?mise\.toml|\.mise\/.*|\.bashrc|\.zshrc|\.zshenv|\.profile|\.bash_profile|\.netrc|\.autoenv[^/]*|flake\.nix|shell\.nix|devenv\.nix|\.gdbinit|\.lldbinit|\.pythonrc|\.irbrc|\.pryrc|\.rprofile|\.renviron)$/,
    'shells and tools load it',
  ],
  [
    'agent',
    /(^|\/)(\.?mcp\.json|agents?(\.override)?\.md|claude(\.local)?\.md|gemini\.md|qwen\.md|copilot-instructions\.md|conventions\.md|skill\.md|warp\.md|\.rules|\.goosehints|\.roomodes|\.cursorrules|\.windsurfrules|\.clinerules|\.roorules|\.aider[^/]*|opencode\.jsonc?|oh-my-opencode\.jsonc?|opencode-tools\.yaml|llms\.txt)$/,
    'agents take instructions or servers from it',
  ],
  [
    'agent',
    /(^|\/)(\.claude|\.opencode|\.cursor|\.windsurf|\.clinerules|\.roo|\.continue|\.codex|\.gemini|\.agents?|\.kiro|\.junie|\.amazonq|\.github\/(instructions|prompts|chatmodes|agents))\//,
    'agents take instructions or servers from it',
  ],
];

/** Files whose text says whether the change matters. */
export const meaningfulText = /(^|\/)(package\.json|composer\.json|pyproject\.toml|\.gitattributes)$/i;

/** Lists the changes that somebody should look at before they are on the host. Pure; deleting such a file counts as well. */
export function findTripwires(changes: readonly ChangedFile[]): readonly Tripwire[] {
  return changes.flatMap((change) => {
    const found = [...byPath(change), ...byText(change), ...byLink(change), ...byMode(change)];
    return found.map(([rule, why]) => ({ path: change.path, rule, why }));
  });
}

type Reason = readonly [rule: TripwireRule, why: string];

function byPath({ path: name, type, change, inRepository = false }: ChangedFile): readonly Reason[] {
  if (inRepository) return [['git', 'git takes the directory for a repository and obeys what is in it']];
  if (type === 'directory') return [];
  if (change !== 'deleted' && path.basename(name) === 'HEAD')
    return [['git', 'git may take a directory with it for a repository']];
  const [, rule, why] = firstOf(plainPath(name));
  return rule === undefined ? [] : [[rule, why]];
}

function firstOf(plain: string): readonly [boolean, TripwireRule | undefined, string] {
  const found = pathRules.find(([, pattern]) => pattern.test(plain));
  return found === undefined ? [false, undefined, ''] : [true, found[0], found[2]];
}

function byText({ path: name, texts: [before, after], change }: ChangedFile): readonly Reason[] {
  const file = path.basename(name).toLowerCase();
  if (!meaningfulText.test(name) || (change !== 'deleted' && after === null)) {
    return meaningfulText.test(name) ? [['package-script', 'could not be looked into']] : [];
  }
  if (file === '.gitattributes') {
    const drivers = (text: string | null): string =>
      (text ?? '')
        .split('\n')
        .filter((line) => /(^|\s)(filter|diff|merge|textconv)\s*=|\[attr\]/.test(line))
        .join('\n');
    return drivers(before) === drivers(after) ? [] : [['git', 'names programs that git runs on files']];
  }
  if (file === 'pyproject.toml') {
    const hooks = (text: string | null): string =>
      (text ?? '')
        .match(
          /^\[(build-system|tool\.[^\]]*(scripts|tasks|hooks|cmdclass|entry-points)[^\]]*|project\.(gui-)?scripts)\][^[]*/gm,
        )
        ?.join('') ?? '';
    return hooks(before) === hooks(after) ? [] : [['package-script', 'says what runs when it is built or installed']];
  }
  return running(before) === running(after) ? [] : [['package-script', 'changes what package managers run']];
}

/** The members of a manifest that name something to run; the whole text when it cannot be read. */
function running(text: string | null): string {
  if (text === null) return '';
  try {
    const manifest = JSON.parse(text) as Record<string, unknown>;
    const members = [
      'scripts',
      'bin',
      'husky',
      'lint-staged',
      'simple-git-hooks',
      'pre-commit',
      'gypfile',
      'pnpm',
      'overrides',
      'resolutions',
      'packageManager',
      'workspaces',
      'config',
      'trustedDependencies',
      'mcpServers',
    ];
    return JSON.stringify(members.map((member) => manifest[member] ?? null));
  } catch {
    return text;
  }
}

function byLink({ type, path: name, target, change }: ChangedFile): readonly Reason[] {
  if (type !== 'symlink' || change === 'deleted') return [];
  const end = path.normalize(path.join(path.dirname(name), target));
  const leaves = target.startsWith('/') || end === '..' || end.startsWith('../');
  if (leaves) return [['link', 'a symbolic link that leaves the tree']];
  return /(^|\/)\.git(\/|$)/i.test(end) ? [['link', 'a symbolic link into .git']] : [];
}

function byMode({ type, change, modes: [before, after], wasExecutable = false }: ChangedFile): readonly Reason[] {
  if (type !== 'file' || change === 'deleted' || after === null) return [];
  if ((after & 0o7000) !== 0) return [['mode', 'has a setuid, setgid or sticky bit']];
  const wasSo = wasExecutable || (before !== null && (before & 0o111) !== 0);
  return (after & 0o111) !== 0 && !wasSo ? [['mode', 'becomes executable']] : [];
}
