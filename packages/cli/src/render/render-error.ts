import type { OpencodeToolsError } from '@opencode-tools/core';
import { lines, safeText } from './format.ts';
import type { Style } from './style.ts';

/** Words for a person: what is wrong, what to do, and the code to look up. `OPENCODE_TOOLS_DEBUG` adds the causes. */
export function renderError(
  error: OpencodeToolsError,
  style: Style,
  environment: Readonly<Record<string, string | undefined>>,
): string {
  const debug = (environment['OPENCODE_TOOLS_DEBUG'] ?? '') !== '';
  return `${lines(
    `${style.bad('error:')} ${error.message} ${style.dim(`(${error.code})`)}`,
    `${style.strong('remedy:')} ${safeText(error.remedy)}`,
    debug ? style.dim(safeText(causes(error))) : '',
  )}\n`;
}

function causes(error: Error): string {
  const stack = error.stack ?? error.message;
  return error.cause instanceof Error ? `${stack}\ncaused by: ${causes(error.cause)}` : stack;
}
