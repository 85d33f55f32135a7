import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '@opencode-tools/testkit';
import { expect, onTestFinished, test } from 'vitest';
import { createAuthority } from '../src/gateway/certificates.ts';
import { Gateway, type GatewayStatus } from '../src/gateway/gateway.ts';
import { policy, rule } from './fixtures.ts';

test('a gateway that cannot write goes on, and says what holds once it can', async () => {
  const root = await mkdtemp(join(tmpdir(), 'oct-egress-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  for (const name of ['policies', 'authority']) await mkdir(join(root, name));
  const { certificate, key } = createAuthority('Gateway', Date.now());
  await writeFile(join(root, 'authority/certificate.pem'), certificate);
  await writeFile(join(root, 'authority/key.pem'), key);
  await writeFile(join(root, 'settings.json'), JSON.stringify({ v: 1, nameServers: [], upstreamAuthorities: '' }));
  const put = async (taskId: string, gatewayAddress: string): Promise<void> => {
    const network = policy(rule('pypi.org'));
    const text = { v: 1, taskId, gatewayAddress, sandboxAddress: '127.0.0.1', network, version: 1, digest: taskId };
    await writeFile(join(root, 'policies', `${taskId}.json`), JSON.stringify(text));
  };
  const told = async (): Promise<readonly string[]> => {
    const text = await readFile(join(root, 'out/status.json'), 'utf8');
    return Object.keys((JSON.parse(text) as GatewayStatus).tasks).toSorted();
  };

  const gateway = new Gateway(root);
  onTestFinished(() => gateway.stop());
  await gateway.run();
  await put('one', '127.31.8.1');
  await until(async () => (await told()).includes('one'));

  // A file in the place of its directory fails as a full disk does, for root as well.
  await rename(join(root, 'out'), join(root, 'aside'));
  await writeFile(join(root, 'out'), '');
  await put('two', '127.31.8.2');
  gateway.takeSecrets({ one: { values: { 'only authorization': 'value' }, mark: '1' } });
  await new Promise((resolve) => setTimeout(resolve, 500));
  await rm(join(root, 'out'));
  await rename(join(root, 'aside'), join(root, 'out'));
  await until(async () => (await told()).length === 2);
  expect(await told()).toEqual(['one', 'two']);
});
