import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { findEndpoints } from './find-endpoints.ts';

const home = mkdtempSync(join(tmpdir(), 'oct-endpoints-'));
afterAll(() => rmSync(home, { recursive: true }));

function addContext(name: string, host: string): void {
  const directory = join(home, '.docker/contexts/meta', createHash('sha256').update(name).digest('hex'));
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'meta.json'), JSON.stringify({ Name: name, Endpoints: { docker: { Host: host } } }));
}

describe('where an engine is looked for', () => {
  test('is the usual places, in order', () => {
    const urls = findEndpoints({ HOME: '/h', XDG_RUNTIME_DIR: '/r' }).map(({ url }) => url);
    expect(urls).toEqual([
      'unix:///r/docker.sock',
      'unix:///var/run/docker.sock',
      'unix:///h/.docker/run/docker.sock',
      'unix:///h/.docker/desktop/docker.sock',
      'unix:///h/.colima/default/docker.sock',
      'unix:///h/.colima/docker.sock',
      'unix:///r/podman/podman.sock',
      'unix:///run/podman/podman.sock',
    ]);
  });

  test('is only where configuration or DOCKER_HOST say, when they do', () => {
    expect(findEndpoints({ DOCKER_HOST: 'tcp://other:2375' }, 'unix:///mine')).toEqual([
      { url: 'unix:///mine', origin: 'configuration' },
    ]);
    expect(findEndpoints({ DOCKER_HOST: 'host:2375' })).toEqual([{ url: 'tcp://host:2375', origin: 'DOCKER_HOST' }]);
  });

  test('uses certificates for a secured address', () => {
    expect(findEndpoints({ DOCKER_HOST: 'tcp://host:2376', DOCKER_CERT_PATH: '/certs' })[0]?.certificates).toBe(
      '/certs',
    );
    expect(findEndpoints({ DOCKER_HOST: 'tcp://host:1', DOCKER_TLS_VERIFY: '1', HOME: '/h' })[0]?.certificates).toBe(
      '/h/.docker',
    );
  });

  test('is first the current context of the docker command', () => {
    addContext('away', 'ssh://person@away');
    writeFileSync(join(home, '.docker/config.json'), JSON.stringify({ currentContext: 'away' }));
    expect(findEndpoints({ HOME: home })[0]).toMatchObject({ url: 'ssh://person@away', origin: 'context away' });
    expect(findEndpoints({ HOME: home, DOCKER_CONTEXT: 'default' })[0]?.url).toBe('unix:///var/run/docker.sock');
    expect(findEndpoints({ HOME: home, DOCKER_CONTEXT: 'away' })).toHaveLength(1);
  });
});
