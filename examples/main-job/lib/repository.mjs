import { execFile } from 'node:child_process';
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const runFile = promisify(execFile);

/** Makes a small git repository with two commits, an executable, a symbolic link and a binary file. */
export async function makeRepository(directory) {
  await mkdir(join(directory, 'bin'), { recursive: true });
  await mkdir(join(directory, 'docs'));
  await writeFile(join(directory, 'README.md'), '# greeter\n\nSays hello.\n');
  await writeFile(join(directory, 'bin/greet'), '#!/bin/sh\necho "hello, ${1:-world}"\n');
  await chmod(join(directory, 'bin/greet'), 0o755);
  await writeFile(join(directory, 'docs/old.txt'), 'to be removed\n');
  await commitAll(directory, 'First version');
  await writeFile(join(directory, 'table.bin'), Buffer.from(Array.from({ length: 4096 }, (_, index) => index % 251)));
  await symlink('bin/greet', join(directory, 'greet'));
  return await commitAll(directory, 'A table and a shortcut');
}

async function commitAll(directory, message) {
  await git(directory, 'init', '--quiet', '--initial-branch=main');
  await git(directory, 'add', '--all');
  await git(directory, 'commit', '--quiet', '--message', message);
  return (await git(directory, 'rev-parse', 'HEAD')).trim();
}

async function git(directory, ...args) {
  const identity = ['-c', 'user.name=Example', '-c', 'user.email=example@example.org', '-c', 'commit.gpgsign=false'];
  const env = { ...process.env, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1' };
  const { stdout } = await runFile('git', [...identity, ...args], { cwd: directory, env });
  return stdout;
}
