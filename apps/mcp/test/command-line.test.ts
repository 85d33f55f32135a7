import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { runProgram, temporaryHome } from './support.ts';

const manifest = new URL('../package.json', import.meta.url);

test('--version prints the version of the package', async () => {
  const { version } = JSON.parse(await readFile(manifest, 'utf8')) as { readonly version: string };
  expect(await runProgram('--version')).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
  expect(await runProgram('--home', 'x', '--version')).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
});

test('--help prints the options', async () => {
  const { code, stdout, stderr } = await runProgram('--help');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toContain('--home <directory>');
});

test('a wrong argument ends with 2 and says where to look', async () => {
  expect(await runProgram('--nope')).toEqual({
    code: 2,
    stdout: '',
    stderr: 'opencode-tools-mcp: unknown argument: --nope\nRemedy: see opencode-tools-mcp --help\n',
  });
});

test('without a client it ends at once and leaves no home behind', async () => {
  const home = await temporaryHome();
  expect(await runProgram('--home', home)).toEqual({ code: 0, stdout: '', stderr: '' });
  await expect(readFile(home)).rejects.toMatchObject({ code: 'ENOENT' });
});
