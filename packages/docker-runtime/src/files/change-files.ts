import type { FileAccess, SandboxPath } from '@opencode-tools/core';
import { exits } from './failures.ts';
import { setPath, toPath } from './path-text.ts';
import { type RunCommand, fields, runScript, unless } from './run-script.ts';

const anything = unless('[ -e "$P" ] || [ -L "$P" ]', 'absent');

export async function removeFile(
  run: RunCommand,
  access: FileAccess,
  request: { readonly path: SandboxPath; readonly recursive: boolean; readonly tell: boolean },
): Promise<readonly SandboxPath[]> {
  const { path, recursive, tell } = request;
  const directory = recursive
    ? 'rm -rf "$P" || exit 19\n'
    : `rmdir "$P" 2>/dev/null || { [ -w "\${P%/*}/" ] && exit ${exits.notEmpty}; exit ${exits.denied}; }\n`;
  const text = [
    setPath('P', path),
    anything,
    tell && recursive ? '[ -d "$P" ] && [ ! -L "$P" ] && find "$P" -mindepth 1 -print0 2>/dev/null\n' : '',
    `if [ -d "$P" ] && [ ! -L "$P" ]; then ${directory}else rm -f "$P" || exit 19; fi\n`,
  ].join('');
  const { stdout } = await runScript(run, access, { path, text });
  return [path, ...[...fields(stdout)].map(toPath)];
}

export async function moveFile(
  run: RunCommand,
  access: FileAccess,
  { from, to, replace }: { readonly from: SandboxPath; readonly to: SandboxPath; readonly replace: boolean },
): Promise<void> {
  const free = '[ ! -e "$Q" ] && [ ! -L "$Q" ]';
  const text = [
    setPath('P', from),
    anything,
    setPath('Q', to),
    replace ? `[ -d "$Q" ] && [ ! -L "$Q" ] && exit ${exits.exists}\n` : unless(free, 'exists'),
    '[ -L "$Q" ] && { rm -f "$Q" || exit 19; }\n',
    `mv ${replace ? '-f' : '-n'} "$P" "$Q" || exit 19\n`,
    replace ? '' : `[ -e "$P" ] || [ -L "$P" ] && exit ${exits.exists}\n`,
    'exit 0\n',
  ].join('');
  await runScript(run, access, { path: from, target: to, text });
}

export async function makeDirectory(run: RunCommand, access: FileAccess, path: SandboxPath): Promise<void> {
  const text = `${setPath('P', path)}[ -d "$P" ] || mkdir -p "$P" || exit 19\n`;
  await runScript(run, access, { path, text });
}
