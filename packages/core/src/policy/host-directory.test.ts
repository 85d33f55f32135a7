import { describe, expect, test } from 'vitest';
import { assertHostDirectory, steeringHostPath } from './host-directory.ts';

const facts = {
  userHomes: ['/home/ada', '/data/people/ada'],
  steeringPaths: ['/srv/settings/opencode-tools', '/srv/dotfiles/bashrc', '/srv/checkout/oct.yaml', '/data'],
  programDirectories: ['/opt/tools/bin'],
};

describe('a directory of the host that tasks would write to', () => {
  test.each([
    ['/home/ada/.config', '/home/ada/.config'],
    ['/home/ada/.config/opencode-tools', '/home/ada/.config'],
    ['/home/ada/.config/opencode/plugin', '/home/ada/.config'],
    ['/home/ada/.config/systemd/user', '/home/ada/.config'],
    ['/home/ada/.config/autostart', '/home/ada/.config'],
    ['/home/ada/.local/bin', '/home/ada/.local'],
    ['/home/ada/.local/share/applications', '/home/ada/.local'],
    ['/home/ada/.bashrc.d', '/home/ada/.bashrc.d'],
    ['/home/ada/.vscode-server/extensions', '/home/ada/.vscode-server'],
    ['/home/ada/.npm/bin', '/home/ada/.npm'],
    ['/home/ada/.dotfiles', '/home/ada/.dotfiles'],
    ['/data/people/ada/.zsh', '/data/people/ada/.zsh'],
    ['/home/other/.config/fish', '/home/other/.config'],
    ['/root/.bashrc.d', '/root/.bashrc.d'],
    ['/home/ada/bin', '/home/ada/bin'],
    ['/home/ada/go', '/home/ada/go/bin'],
    ['/home/ada/go/bin', '/home/ada/go/bin'],
    ['/home/ada/node_modules/x', '/home/ada/node_modules'],
    ['/home/ada/Library/LaunchAgents', '/home/ada/Library/LaunchAgents'],
    ['/srv/project/.opencode', '/srv/project/.opencode'],
    ['/srv/project/.git/hooks', '/srv/project/.git'],
    ['/srv/project/.claude/commands', '/srv/project/.claude'],
    ['/srv/project/.claude/worktrees', '/srv/project/.claude'],
    ['/srv/project/.claude/worktrees/login/.git', '/srv/project/.claude'],
    ['/srv/settings', '/srv/settings/opencode-tools'],
    ['/srv/settings/opencode-tools/x', '/srv/settings/opencode-tools'],
    ['/srv/dotfiles', '/srv/dotfiles/bashrc'],
    ['/srv/checkout', '/srv/checkout/oct.yaml'],
    ['/opt/tools/bin/helpers', '/opt/tools/bin'],
  ])('is refused at %s', (path, kept) => {
    expect(steeringHostPath(path, facts)).toEqual({ place: 'host-programs', path: kept });
    expect(() => assertHostDirectory(path, facts)).toThrow(
      expect.objectContaining({ code: 'OCT_POLICY_DENIED', details: { path, kept: expect.any(String) as string } }),
    );
  });

  test.each(['/var/spool/cron', '/nix/store', '/etc/cron.d', '/home/ada', '/home/ada/.ssh', '/boot'])(
    'is refused at %s, which no sandbox sees either',
    (path) => {
      expect(() => assertHostDirectory(path, facts)).toThrow(expect.objectContaining({ code: 'OCT_POLICY_DENIED' }));
    },
  );

  test.each([
    '/home/ada/project',
    '/home/ada/go/src/x',
    '/home/ada/binaries',
    '/home/ada/work/bin',
    '/srv/project',
    '/srv/.hidden/project',
    '/srv/dotfiles2',
    '/opt/tools',
    '/data/work',
    '/home/ada/.codex/worktrees/1a2b/project',
    '/srv/project/.claude/worktrees/login',
    '/tmp/x',
  ])('may be %s', (path) => {
    expect(() => assertHostDirectory(path, facts)).not.toThrow();
  });
});
