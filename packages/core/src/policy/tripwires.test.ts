import { describe, expect, it } from 'vitest';
import { type ChangedFile, type TripwireRule, findTripwires } from './tripwires.ts';

const file = (path: string, more: Partial<ChangedFile> = {}): ChangedFile => ({
  path,
  change: 'modified',
  type: 'file',
  modes: [0o644, 0o644],
  target: '',
  texts: [null, null],
  ...more,
});
const scripts = (value: object): string => JSON.stringify({ name: 'x', ...value });

const planted: readonly (readonly [TripwireRule, ChangedFile])[] = [
  ...(
    [
      ['git', '.git/hooks/post-checkout'],
      ['git', 'vendor/lib/.git/config'],
      ['git', '.GIT/config'],
      ['git', '.husky/pre-commit'],
      ['git', '.githooks/pre-push'],
      ['git', 'lefthook.yml'],
      ['git', '.pre-commit-config.yaml'],
      ['git', '.gitmodules'],
      ['git', '.g\u200bit/config'],
      ['git', 'git~1/config'],
      ['git', 'sub/.git'],
      ['git', 'sub/.git./config'],
      ['git', 'sub/HEAD'],
      ['package-script', '.npmrc'],
      ['package-script', 'packages/a/.yarnrc.yml'],
      ['package-script', '.pnpmfile.cjs'],
      ['package-script', 'setup.py'],
      ['package-script', 'tests/conftest.py'],
      ['package-script', 'x/evil.pth'],
      ['build', 'Makefile'],
      ['build', 'service/pom.xml'],
      ['build', 'Directory.Build.props'],
      ['build', 'src/Directory.Build.targets'],
      ['build', 'magefile.go'],
      ['build', '.bundle/config'],
      ['build', '.rspec'],
      ['build', 'makefile.am'],
      ['build', 'GNUmakefile'],
      ['build', 'build.rs'],
      ['build', '.cargo/config.toml'],
      ['build', 'gradlew'],
      ['build', 'gradle/wrapper/gradle-wrapper.jar'],
      ['build', 'vite.config.ts'],
      ['build', 'web/eslint.config.mjs'],
      ['build', 'CMakeLists.txt'],
      ['ci', '.github/workflows/ci.yml'],
      ['ci', '.gitlab-ci.yml'],
      ['ci', 'Jenkinsfile'],
      ['ci', '.circleci/config.yml'],
      ['container', 'Dockerfile'],
      ['container', 'deploy/docker-compose.yml'],
      ['container', '.devcontainer/devcontainer.json'],
      ['editor', '.vscode/tasks.json'],
      ['editor', '.idea/runConfigurations/x.xml'],
      ['editor', '.exrc'],
      ['editor', 'project.sublime-project'],
      ['shell', '.Rprofile'],
      ['shell', '.envrc'],
      ['shell', 'api/.env.local'],
      ['shell', 'flake.nix'],
      ['agent', '.mcp.json'],
      ['agent', '.rules'],
      ['agent', 'WARP.md'],
      ['agent', '.goosehints'],
      ['agent', '.roomodes'],
      ['agent', 'opencode-tools.yaml'],
      ['agent', 'AGENTS.md'],
      ['agent', 'docs/CLAUDE.md'],
      ['agent', 'claude.local.md'],
      ['agent', '.claude/settings.json'],
      ['agent', '.opencode/plugin/x.ts'],
      ['agent', 'opencode.jsonc'],
      ['agent', '.cursor/rules/x.mdc'],
      ['agent', '.github/copilot-instructions.md'],
      ['agent', '.cursorrules'],
    ] as const
  ).map(([rule, path]) => [rule, file(path, { change: 'added' })] as const),
  ['package-script', file('package.json', { texts: [scripts({}), scripts({ scripts: { postinstall: 'x' } })] })],
  ['package-script', file('a/package.json', { texts: ['{}', '{ not json'] })],
  ['package-script', file('package.json', { texts: [null, null] })],
  ['git', file('.gitattributes', { texts: ['* text=auto\n', '* text=auto\n*.c filter=evil\n'] })],
  ['link', file('docs/link', { change: 'added', type: 'symlink', target: '../../etc/passwd' })],
  ['link', file('link', { change: 'added', type: 'symlink', target: '/etc/passwd' })],
  ['link', file('a/link', { change: 'added', type: 'symlink', target: '../.git/hooks' })],
  ['mode', file('run', { modes: [0o644, 0o755] })],
  ['mode', file('run', { modes: [0o755, 0o4755] })],
  ['git', file('sub/config', { change: 'added', inRepository: true })],
  ['git', file('sub/refs', { change: 'added', type: 'directory', inRepository: true })],
  ['ci', file('.github/workflows/ci.yml', { change: 'deleted' })],
];

describe('tripwires', () => {
  it.each(planted)('%s: %o is flagged', (rule, change) => {
    expect(findTripwires([change]).map((found) => found.rule)).toContain(rule);
  });

  it('an executable that was one elsewhere is not told for its mode', () => {
    const moved = file('bin/run', { change: 'added', modes: [null, 0o755], wasExecutable: true });
    expect(findTripwires([moved])).toEqual([]);
    expect(findTripwires([{ ...moved, modes: [null, 0o4755] }])).toHaveLength(1);
  });

  it('work of every day raises hardly any', () => {
    const words = ['index', 'user-service', 'main', 'agent', 'hooks', 'ci', 'build', 'container', 'git', 'editor'];
    const benign: ChangedFile[] = words.flatMap((word) => [
      ...[
        `src/${word}.ts`,
        `src/${word}.test.ts`,
        `lib/${word}.py`,
        `docs/${word}.md`,
        `cmd/${word}/main.go`,
        `src/${word}.rs`,
        `app/${word}.css`,
        `test/fixtures/${word}.json`,
        `assets/${word}.png`,
      ].map((path) => file(path)),
      file(`src/${word}/link`, { change: 'added', type: 'symlink', target: `../${word}.ts` }),
      file(`bin/${word}`, { modes: [0o755, 0o755] }),
      file(`packages/${word}/package.json`, {
        texts: [
          scripts({ version: '1.0.0', scripts: { test: 'x' } }),
          scripts({ version: '1.0.1', scripts: { test: 'x' } }),
        ],
      }),
      file(`${word}/.gitattributes`, { texts: ['', '* text=auto eol=lf\n'] }),
      file(`${word}/.gitignore`),
      file(`${word}/README.md`),
      file(`${word}/package-lock.json`),
      file(`${word}/tsconfig.json`),
      file(`${word}/.editorconfig`),
      file(`${word}/old.ts`, { change: 'deleted' }),
      file(word, { change: 'added', type: 'directory' }),
    ]);
    expect(benign.length).toBeGreaterThanOrEqual(200);
    expect(findTripwires(benign).length / benign.length).toBeLessThanOrEqual(0.05);
  });
});
