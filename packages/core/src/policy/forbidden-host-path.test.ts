import { describe, expect, test } from 'vitest';
import { forbiddenHostPath } from './forbidden-host-path.ts';

const facts = {
  userHomes: ['/home/ada', '/data/people/ada'],
  sockets: ['/opt/engine/engine.socket'],
  protectedPaths: ['/srv/opencode-tools/home'],
};

describe('a path of the host', () => {
  test.each([
    ['/', 'host-system'],
    ['/etc', 'host-system'],
    ['/etc/ssl/private', 'host-system'],
    ['/proc/1/root', 'host-system'],
    ['/sys', 'host-system'],
    ['/dev/shm', 'host-system'],
    ['/boot', 'host-system'],
    ['/var', 'host-system'],
    ['/var/run/user', 'host-system'],
    ['/run/user/1000', 'host-system'],
    ['/tmp', 'host-system'],
    ['/opt', 'host-system'],
    ['/srv', 'host-system'],
    ['/srv/opencode-tools/home/tasks', 'host-system'],
    ['/opt/engine', 'host-system'],
    ['/opt/engine/engine.socket', 'engine-socket'],
    ['/run/docker.sock', 'engine-socket'],
    ['/srv/x/podman.sock', 'engine-socket'],
    ['/root', 'whole-home'],
    ['/root/project', 'whole-home'],
    ['/home', 'whole-home'],
    ['/home/ada', 'whole-home'],
    ['/home/other', 'whole-home'],
    ['/data/people', 'whole-home'],
    ['/data/people/ada', 'whole-home'],
    ['/home/ada/.ssh', 'credentials'],
    ['/home/ada/.aws/sso/cache', 'credentials'],
    ['/home/ada/.npmrc', 'credentials'],
    ['/home/ada/.git-credentials', 'credentials'],
    ['/home/ada/.pypirc', 'credentials'],
    ['/home/ada/.netrc', 'credentials'],
    ['/home/ada/.config', 'credentials'],
    ['/home/ada/.config/gcloud/legacy', 'credentials'],
    ['/home/ada/.mozilla/firefox', 'credentials'],
    ['/data/people/ada/.config/google-chrome', 'credentials'],
    ['/home/other/.kube', 'credentials'],
  ])('is kept from sandboxes at %s', (path, place) => {
    expect(forbiddenHostPath(path, facts)).toMatchObject({ place });
  });

  test.each([
    '/home/ada/project',
    '/home/ada/..project',
    '/home/ada/.config/editor',
    '/home/ada/.sshd-config',
    '/srv/work',
    '/srv/opencode-tools/home2',
    '/var/www',
    '/opt/engines',
    '/tmp/x',
    '/etcetera',
    '/development',
  ])('may be seen at %s', (path) => {
    expect(forbiddenHostPath(path, facts)).toBeUndefined();
  });

  test('below /root may be seen by the one whose home that is, but for the secrets there', () => {
    const root = { userHomes: ['/root'] };
    expect(forbiddenHostPath('/root/project', root)).toBeUndefined();
    expect(forbiddenHostPath('/root/.docker/config.json', root)).toMatchObject({ path: '/root/.docker' });
  });
});
