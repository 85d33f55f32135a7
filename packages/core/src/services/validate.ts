import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { ResourceLimits, SecretSource } from '../domain/sandbox-spec.ts';

const maxTtlMs = 86_400_000;
// eslint-disable-next-line no-control-regex
const controlCharacters = /[\u0000-\u001f\u007f]/;

/** Refuses an argument, naming it, the fact, and the accepted form. */
export function invalid(argument: string, fact: string, remedy: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_INVALID_ARGUMENT', `${argument}: ${fact}`, { remedy, details: { argument } });
}

/** One line of text, trimmed; 1 to `max` characters, no control characters. */
export function oneLine(argument: string, value: string, max: number): string {
  const text = value.trim();
  if (text.length === 0) throw invalid(argument, 'is empty', `Give 1 to ${max} characters.`);
  if (text.length > max) throw invalid(argument, `has ${text.length} characters`, `Give 1 to ${max} characters.`);
  if (controlCharacters.test(text)) throw invalid(argument, 'holds control characters', 'Give one line of plain text.');
  return wellFormed(argument, text);
}

/** Text of any number of lines, up to `max` characters. */
export function freeText(argument: string, value: string, max: number): string {
  if (value.length > max) throw invalid(argument, `has ${value.length} characters`, `Give at most ${max} characters.`);
  if (value.includes('\0')) throw invalid(argument, 'holds a NUL character', 'Give plain text.');
  return wellFormed(argument, value);
}

export function oneOf<T extends string>(argument: string, value: T, accepted: readonly T[]): T {
  if (accepted.includes(value)) return value;
  throw invalid(argument, `is ${JSON.stringify(value.slice(0, 80))}`, `Give one of: ${accepted.join(', ')}.`);
}

export function integerBetween(argument: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw invalid(argument, `is ${value}`, `Give a whole number from ${min} to ${max}.`);
}

export function leaseTtl(argument: string, value: number): number {
  return integerBetween(argument, value, 1_000, maxTtlMs);
}

export function resourceLimits(limits: ResourceLimits): ResourceLimits {
  integerBetween('limits.memoryBytes', limits.memoryBytes, 32 * 1024 ** 2, 2 ** 50);
  integerBetween('limits.pids', limits.pids, 16, 1_000_000);
  integerBetween('limits.tmpBytes', limits.tmpBytes, 1024 ** 2, 2 ** 50);
  if (limits.workspaceBytes !== undefined)
    integerBetween('limits.workspaceBytes', limits.workspaceBytes, 1024 ** 2, 2 ** 50);
  if (!(limits.cpus >= 0.1 && limits.cpus <= 1_024)) {
    throw invalid('limits.cpus', `is ${limits.cpus}`, 'Give a number from 0.1 to 1024.');
  }
  return limits;
}

/** Where a secret comes from: a variable's name, an absolute path, or a program with its arguments. */
export function secretSource(argument: string, source: SecretSource): SecretSource {
  const { from } = source;
  const known = { env: 'variable', file: 'path', command: 'argv' } as const;
  if (!Object.hasOwn(known, from))
    throw invalid(
      argument,
      `is from ${JSON.stringify(from) ?? 'nowhere'}`,
      `Say from: ${Object.keys(known).join(', ')}.`,
    );
  const member = (source as unknown as Readonly<Record<string, unknown>>)[known[from]];
  if (from === 'command' ? !Array.isArray(member) : typeof member !== 'string')
    throw invalid(argument, `has no ${known[from]}`, `Give ${known[from]} with from: ${from}.`);
  if (source.from === 'env') environmentName(source.variable);
  else if (source.from === 'file') {
    if (!source.path.startsWith('/') || source.path.includes('\0'))
      throw invalid(
        argument,
        `${JSON.stringify(source.path.slice(0, 200))} is not an absolute path`,
        'Give an absolute path on this host.',
      );
  } else if (source.argv.length === 0 || source.argv[0] === '' || source.argv.some((part) => part.includes('\0')))
    throw invalid(argument, 'its command is empty or holds a NUL character', 'Name a program and its arguments.');
  return source;
}

/** Labels: at most 50, names of letters, digits and `._-/`, values of up to 200 characters. */
export function labels(value: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const entries = Object.entries(value);
  if (entries.length > 50) throw invalid('labels', `has ${entries.length} entries`, 'Give at most 50 labels.');
  for (const [name, text] of entries) {
    if (!/^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$/.test(name)) {
      throw invalid(
        'labels',
        `name ${JSON.stringify(name.slice(0, 80))} is not accepted`,
        'Use up to 63 letters, digits, dots, dashes, underscores and slashes.',
      );
    }
    if (text.length > 200 || controlCharacters.test(text)) {
      throw invalid('labels', `value of ${name} is not accepted`, 'Use up to 200 characters on one line.');
    }
  }
  return value;
}

/** Environment names and values that can reach a process unchanged. */
export function environment(value: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  for (const [name, text] of Object.entries(value)) {
    environmentName(name);
    if (text.includes('\0')) throw invalid('env', `value of ${name} holds a NUL character`, 'Remove it.');
  }
  return value;
}

export function environmentName(name: string): string {
  if (/^[A-Za-z_][A-Za-z0-9_]{0,199}$/.test(name)) return name;
  throw invalid(
    'env',
    `name ${JSON.stringify(name.slice(0, 80))} is not accepted`,
    'Use letters, digits and underscores, not starting with a digit.',
  );
}

function wellFormed(argument: string, text: string): string {
  if (text.isWellFormed()) return text;
  throw invalid(argument, 'holds a lone surrogate', 'Give valid Unicode text.');
}
