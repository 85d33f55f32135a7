import { mkdtemp, readFile, rm, stat, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createIds, silentLogger, systemClock } from '@opencode-tools/core';
import { expect, onTestFinished, test } from 'vitest';
import { createEgressGateway } from '../src/index.ts';
import { policy, rule } from './fixtures.ts';

const taskId = createIds(systemClock).next('task');

async function openGateway() {
  const directory = await mkdtemp(join(tmpdir(), 'oct-egress-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const gateway = createEgressGateway({
    directory: (id) => join(directory, id),
    clock: { nowMs: () => Date.UTC(2026, 10, 20) },
    logger: silentLogger,
  });
  const file = join(directory, taskId, 'egress.jsonl');
  const lines = async () => (await readFile(file, 'utf8')).split('\n').slice(0, -1);
  return { directory, gateway, file, lines };
}

test('each decision is one line of JSON that only the owner can read', async () => {
  const { gateway, file, lines } = await openGateway();
  const request = { host: 'pypi.org', port: 443 };
  await gateway.log(taskId, request, gateway.decide(policy(rule('pypi.org')), request));
  await gateway.log(taskId, request, gateway.decide(policy(), request));
  expect((await lines()).map((line) => JSON.parse(line) as unknown)).toEqual([
    { at: '2026-11-20T00:00:00.000Z', host: 'pypi.org', port: 443, allowed: true, rule: 'only' },
    { at: '2026-11-20T00:00:00.000Z', host: 'pypi.org', port: 443, allowed: false, rule: 'default-deny' },
  ]);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
});

test('credentials, queries and what looks like a token never reach the log', async () => {
  const { gateway, file } = await openGateway();
  const request = {
    host: 'user:hunter2@example.org',
    port: 80,
    method: 'GET\r\nX: y',
    path: '/bot123456:AAHdqTcvCH1vGWJxfSeofSAs0K5/send?key=hunter2#hunter2',
  };
  await gateway.log(taskId, request, gateway.decide(policy(), request));
  const text = await readFile(file, 'utf8');
  expect(text).not.toMatch(/hunter2|AAHdq/);
  expect(JSON.parse(text)).toMatchObject({ host: 'example.org', path: '/[redacted]/send' });
});

test('lines written at once do not mix', async () => {
  const { gateway, lines } = await openGateway();
  const hosts = Array.from({ length: 100 }, (_, index) => `host-${index}.example.org`);
  const decision = { allowed: false, rule: 'default-deny', explanation: '' };
  await Promise.all(hosts.map((host) => gateway.log(taskId, { host, port: 443 }, decision)));
  const logged = (await lines()).map((line) => (JSON.parse(line) as { readonly host: string }).host);
  expect(logged.toSorted()).toEqual(hosts.toSorted());
});

test('a log that is a link, or cannot be made, is an error of ours', async () => {
  const { directory, gateway, file } = await openGateway();
  const request = { host: 'example.org', port: 443 };
  const decision = gateway.decide(policy(), request);
  await gateway.log(taskId, request, decision);
  await rm(file);
  await symlink(join(directory, 'elsewhere'), file);
  await expect(gateway.log(taskId, request, decision)).rejects.toMatchObject({ code: 'OCT_STORE_UNAVAILABLE' });
});
