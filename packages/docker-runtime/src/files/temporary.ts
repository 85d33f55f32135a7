import { randomBytes } from 'node:crypto';
import { type FileAccess, OpencodeToolsError, type SandboxPath, temporaryName } from '@opencode-tools/core';
import { setPath } from './path-text.ts';
import { type RunCommand, runScript } from './run-script.ts';

/** @returns a name that a script can hold as it is */
export function assertTemporary(name = temporaryName(randomBytes(12).toString('hex'))): string {
  if (/^\.oct-[0-9a-z]{8,64}$/.test(name)) return name;
  throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', 'Not the name of a temporary file', {
    details: { argument: 'temporary' },
  });
}

/** Looks where a write to the path has it, which follows a link, and where an extraction has it. */
export async function removeTemporary(
  run: RunCommand,
  access: FileAccess,
  { path, temporary }: { readonly path: SandboxPath; readonly temporary: string },
): Promise<void> {
  const name = assertTemporary(temporary);
  const text = [
    setPath('P', path),
    `drop() { [ ! -e "$1/${name}" ] || { chmod -R u+rwX "$1/${name}"; rm -rf "$1/${name}"; } || exit 19; }\n`,
    'drop "$P"\ndrop "${P%/*}"\n',
    '[ ! -L "$P" ] || { R=$(readlink -f "$P"; echo .); R=${R%??}; [ ! "$R" ] || drop "${R%/*}"; }\n',
  ].join('');
  await runScript(run, access, { path, text });
}
