import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { createAuthority } from '../src/gateway/certificates.ts';

const run = promisify(execFile);
const child = fileURLToPath(new URL('./upstream-child.ts', import.meta.url));

/** What servers answer through a gateway, one signed by a public authority and one by another. */
async function answers(configured: boolean): Promise<Readonly<Record<string, string>>> {
  const root = await mkdtemp(join(tmpdir(), 'oct-egress-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  const { key, certificate } = createAuthority('Public', Date.now());
  const file = join(root, 'public.pem');
  await writeFile(file, certificate);
  const args = ['--conditions=@opencode-tools/source', child, root, key, certificate];
  const options = { env: { ...process.env, NODE_EXTRA_CA_CERTS: file }, timeout: 20_000 };
  const { stdout } = await run(process.execPath, configured ? [...args, 'configured'] : args, options);
  return JSON.parse(stdout) as Readonly<Record<string, string>>;
}

test('servers of terminated hosts are known by public authorities where the configuration names none', async () => {
  const { public: known, configured } = await answers(false);
  expect(known).toBe('from public');
  expect(configured).toContain('Not reached: ');
});

test('an authority of the configuration is trusted besides the public ones', async () => {
  expect(await answers(true)).toEqual({ public: 'from public', configured: 'from configured' });
});
