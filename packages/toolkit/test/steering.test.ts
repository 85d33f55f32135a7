import { chownSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type OpenHome, type WorkPort, isOpencodeToolsError } from '@opencode-tools/core';
import { openHome } from '@opencode-tools/toolkit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { callBy } from './support/home-without-engine.ts';

let base: string;
let person: string;
let opened: OpenHome;
let work: WorkPort;

beforeEach(async () => {
  base = realpathSync(mkdtempSync(join(tmpdir(), 'oct-steering-')));
  person = join(base, 'people/ada');
  for (const name of ['.config/opencode-tools', '.bashrc.d', 'work', 'settings', 'dotfiles/zsh', 'tools/bin', 'plain'])
    make(join(person, name));
  for (const name of ['elsewhere/opencode-tools', 'elsewhere/systemd/user', 'named', 'plain']) make(join(base, name));
  symlinkSync(join(person, 'dotfiles/zsh'), join(person, '.zshrc'));
  symlinkSync(join(person, 'settings'), join(person, '.config/editor'));
  writeFileSync(join(base, 'named/oct.yaml'), 'defaultImage: example\n');
  const environment = {
    HOME: person,
    PATH: `${join(person, 'tools/bin')}:${process.env['PATH'] ?? ''}`,
    XDG_CONFIG_HOME: join(base, 'elsewhere'),
  };
  const configFile = join(base, 'named/oct.yaml');
  const look = async (reference: string) => ({ id: `sha256:${reference}`, reference }) as never;
  opened = await openHome({
    home: join(base, 'home'),
    configFile,
    cwd: base,
    environment,
    decorate: (ports) => {
      work = ports.work;
      return { ...ports, images: { ...ports.images, ensure: look, find: look } };
    },
  });
});
afterEach(async () => {
  await opened.close();
  rmSync(base, { recursive: true, force: true });
});

function make(path: string): void {
  mkdirSync(path, { recursive: true });
  // Commands do not run as root, so they get no directory of root's.
  for (let at = path; at !== base; at = dirname(at)) if (process.getuid?.() === 0) chownSync(at, 1000, 1000);
}

async function bind(path: string): Promise<string> {
  try {
    await opened.services.tasks.create({ title: 'x', workspace: { kind: 'bind', path } }, callBy('lead'));
    return 'made';
  } catch (error) {
    if (!isOpencodeToolsError(error)) throw error;
    return error.code;
  }
}

test('no task is bound, and no work applied, to what programs of the host run or obey, so it cannot write the configuration of opencode-tools', async () => {
  const own = ['.config', '.config/opencode-tools', '.bashrc.d', 'settings', 'dotfiles', 'dotfiles/zsh', 'tools/bin'];
  const places = [
    ...own.map((name) => join(person, name)),
    ...['elsewhere', 'elsewhere/opencode-tools', 'elsewhere/systemd/user', 'named', ''].map((name) => join(base, name)),
  ];
  const made: string[] = [];
  for (const path of places) if ((await bind(path)) !== 'OCT_POLICY_DENIED') made.push(path);
  expect(made).toEqual([]);
  for (const path of places.slice(0, -1))
    await expect(work.target(path)).rejects.toMatchObject({ code: 'OCT_POLICY_DENIED' });
});

test('a task is bound to a directory of work, in the home directory and elsewhere', async () => {
  const places = [join(person, 'work'), join(person, 'plain'), join(base, 'plain')];
  for (const path of places) {
    expect(await bind(path)).toBe('made');
    expect(await work.target(path)).toBe(path);
  }
});

test('what a link in the home directory leads to by now counts', async () => {
  symlinkSync(join(person, 'plain'), join(person, '.profile.d'));
  expect(await bind(join(person, 'plain'))).toBe('OCT_POLICY_DENIED');
});
