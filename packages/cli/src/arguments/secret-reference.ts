import { resolve } from 'node:path';
import type { EnvReference } from '@opencode-tools/core';
import { quoted, usageError } from './usage-error.ts';
import type { NameValue } from './values.ts';

const forms = 'NAME, NAME=env:VARIABLE, NAME=file:PATH or NAME=command:PROGRAM ARGUMENT...';

/**
 * Where the value of a variable is: `NAME`, `NAME=env:VARIABLE`, `NAME=file:PATH` or `NAME=command:PROGRAM ARGUMENT...`, whose words are
 * parted by spaces, or given as a JSON array where one has a space in it. No shell reads them.
 */
export function secretReference(option: string, { name, value }: NameValue, cwd: string): EnvReference {
  if (value === undefined) return { name, from: 'env', variable: name };
  const [, from, rest = ''] = /^(env|file|command):(.+)$/s.exec(value) ?? [];
  if (from === 'env') return { name, from, variable: rest };
  if (from === 'file') return { name, from, path: resolve(cwd, rest) };
  const argv = from === 'command' ? wordsOf(rest) : undefined;
  if (argv !== undefined) return { name, from: 'command', argv };
  // The offending text may be a secret, so only its name is told.
  throw usageError(
    `${option} ${quoted(name)} names no place to take the value from`,
    `Use ${forms}; what is recorded is where a value is, never the value.`,
    { argument: option, name },
  );
}

function wordsOf(text: string): readonly string[] | undefined {
  const words = text.trimStart().startsWith('[') ? parsed(text) : text.split(/\s+/).filter((word) => word !== '');
  if (!Array.isArray(words) || words.length === 0 || words[0] === '') return undefined;
  return words.every((word) => typeof word === 'string') ? words : undefined;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
