import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, stat, symlink, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '@opencode-tools/testkit';
import { expect, onTestFinished, test } from 'vitest';
import { decide } from '../src/index.ts';
import { DecisionLog } from '../src/gateway/decision-log.ts';
import { readLog } from '../src/read-log.ts';
import { policy, rule } from './fixtures.ts';

async function openLog() {
  const directory = await mkdtemp(join(tmpdir(), 'oct-egress-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const file = join(directory, 'task.jsonl');
  const log = new DecisionLog(directory, 'task');
  onTestFinished(() => log.close());
  const written = async (count: number) => {
    await until(async () => (await readLog(file, 0)).length === count);
    return readLog(file, 0);
  };
  return { directory, file, log, written };
}

test('each decision is one line of JSON that only the owner can read, a denial with its reason', async () => {
  const { log, file, written } = await openLog();
  const request = { host: 'pypi.org', port: 443 };
  log.add('connect', request, decide(policy(rule('pypi.org')), request));
  log.add('connect', request, decide(policy(), request));
  const line = { at: expect.any(String) as string, via: 'connect', host: 'pypi.org', port: 443 };
  const explanation = expect.stringContaining('no rule names the host') as string;
  const entries = await written(2);
  expect(entries.toSorted((one, other) => Number(other.allowed) - Number(one.allowed))).toEqual([
    { ...line, allowed: true, rule: 'only' },
    { ...line, allowed: false, rule: 'default-deny', explanation },
  ]);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
});

test('a denial is in the log before anybody else has a turn', async () => {
  const { log, file } = await openLog();
  const request = { host: 'pypi.org', port: 443 };
  for (let count = 1; count <= 3; count += 1) {
    log.add('connect', request, decide(policy(), request));
    expect(readFileSync(file, 'utf8').split('\n')).toHaveLength(count + 1);
  }
});

test('what could not be written is counted in the next line that can', async () => {
  const { directory, log, file, written } = await openLog();
  const request = { host: 'pypi.org', port: 443 };
  await symlink(join(directory, 'nowhere'), file);
  for (const network of [policy(), policy(rule('pypi.org'))]) log.add('connect', request, decide(network, request));
  await unlink(file);
  log.add('connect', request, decide(policy(), request));
  await written(1);
  expect(JSON.parse((await readFile(file, 'utf8')).split('\n')[0] ?? '')).toMatchObject({ lost: 2 });
});

test('credentials, queries and what looks like a token never reach the log', async () => {
  const { log, file, written } = await openLog();
  const request = {
    host: 'user:hunter2@example.org',
    port: 80,
    method: 'GET\r\nX: y',
    path: '/bot123456:AAHdqTcvCH1vGWJxfSeofSAs0K5/send?key=hunter2#hunter2',
  };
  log.add('http', request, decide(policy(), request));
  expect(await written(1)).toMatchObject([{ host: 'example.org', path: '/[redacted]/send' }]);
  expect(await readFile(file, 'utf8')).not.toMatch(/hunter2|AAHdq/);
});

test('a log that is a link is not followed', async () => {
  const { directory, log, file } = await openLog();
  const elsewhere = join(directory, 'elsewhere');
  await symlink(elsewhere, file);
  log.add('http', { host: 'example.org', port: 80 }, decide(policy(), { host: 'example.org', port: 80 }));
  log.close();
  await expect(readLog(file, 0)).rejects.toMatchObject({ code: 'ELOOP' });
  await expect(stat(elsewhere)).rejects.toMatchObject({ code: 'ENOENT' });
});
