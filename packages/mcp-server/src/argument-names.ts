import type { ErrorJson } from '@opencode-tools/core';
import type { Tool } from './tool.ts';

/** Where a tool has another name than the verb behind it, beyond how words are joined. */
const named: Readonly<Record<string, string>> = { 'limits.cpus': 'cpus', 'limits.pids': 'pids' };

/** A failure that names an argument of a verb, by the name that the argument has at a tool. */
export function inTermsOf({ input }: Pick<Tool, 'input'>, failure: ErrorJson): ErrorJson {
  const { argument } = failure.details;
  if (failure.code !== 'OCT_INVALID_ARGUMENT' || typeof argument !== 'string') return failure;
  const name = named[argument] ?? snakeCase(argument);
  if (name === argument || !Object.hasOwn(input.shape, name)) return failure;
  const details = { ...failure.details, argument: name };
  // The first word alone: what follows may quote the caller.
  const message = failure.message.startsWith(argument)
    ? name + failure.message.slice(argument.length)
    : failure.message;
  return { ...failure, message, details };
}

function snakeCase(argument: string): string {
  return argument.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
