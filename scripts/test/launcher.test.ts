import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { runNode, script } from './run-node.ts';

let app: string;
let bin: string;

beforeEach(() => {
  app = mkdtempSync(join(tmpdir(), 'launcher-'));
  bin = join(app, 'dist', 'bin.cjs');
  mkdirSync(join(app, 'dist'));
  copyFileSync(script('launcher.cjs'), bin);
  writeFileSync(join(app, 'package.json'), JSON.stringify({ name: 'some-app', version: '1.2.3', type: 'module' }));
});

afterEach(() => rmSync(app, { recursive: true, force: true }));

function launch(args: readonly string[], nodeOptions: readonly string[] = []) {
  return runNode([...nodeOptions, bin, ...args], { XDG_CACHE_HOME: join(app, 'cache') });
}

describe('the launcher of the apps', () => {
  test.each(['--version', '-V'])('answers %s without the program', async (flag) => {
    expect(await launch([flag])).toEqual({ exitCode: 0, stdout: '1.2.3\n', stderr: '' });
  });

  test('passes its arguments to the program and exits with its code', async () => {
    writeFileSync(
      join(app, 'dist', 'main.js'),
      'export async function main(argv) { process.stdout.write(JSON.stringify(argv)); return 4; }',
    );
    expect(await launch(['list', '--version'])).toEqual({ exitCode: 4, stdout: '["list","--version"]', stderr: '' });
  });

  test('exits 70 with the stack when the program throws', async () => {
    writeFileSync(join(app, 'dist', 'main.js'), "export async function main() { throw new Error('out of luck'); }");
    const outcome = await launch([]);
    expect(outcome.exitCode).toBe(70);
    expect(outcome.stderr).toMatch(/^some-app: Error: out of luck\n {4}at .*main\.js/);
  });

  test('refuses an older Node with a remedy and exit code 6', async () => {
    const older = join(app, 'older.cjs');
    writeFileSync(older, "Object.defineProperty(process, 'versions', { value: { node: '22.17.1' } });");
    const outcome = await launch(['--version'], ['--require', older]);
    expect(outcome.exitCode).toBe(6);
    expect(outcome.stderr).toContain('some-app needs Node 22.18 or newer; this is Node 22.17.1.');
    expect(outcome.stderr).toContain('Remedy: ');
  });
});
