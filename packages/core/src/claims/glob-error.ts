import type { ErrorCode } from '../errors/error-catalogue.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';

/** Refuses a glob, quoting it and saying what is accepted. */
export function badGlob(glob: string, fact: string, remedy: string): OpencodeToolsError {
  return refusal('OCT_INVALID_ARGUMENT', glob, fact, remedy);
}

/** Refuses a glob that names what is not in the workspace. */
export function outsideWorkspace(glob: string, fact: string): OpencodeToolsError {
  return refusal('OCT_PATH_OUTSIDE_WORKSPACE', glob, fact, 'Give a glob inside the workspace, relative to it.');
}

function refusal(code: ErrorCode, glob: string, fact: string, remedy: string): OpencodeToolsError {
  return new OpencodeToolsError(code, `Glob ${JSON.stringify(glob.slice(0, 120))} ${fact}`, {
    remedy,
    details: { argument: 'claims', glob: glob.slice(0, 500) },
  });
}
