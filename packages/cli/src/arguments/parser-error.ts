import { usageError } from './usage-error.ts';

interface ParserError extends Error {
  readonly code: string;
  readonly exitCode: number;
}

/**
 * Gives a failure of the argument parser the form of our errors; undefined when the parser only wanted to say that help or
 * the version was printed.
 */
export function asUsageError(error: unknown): Error | undefined {
  if (!isParserError(error)) return error instanceof Error ? error : new Error(String(error));
  if (error.exitCode === 0) return undefined;
  if (error.code === 'commander.help')
    return usageError('The command needs another word', 'Add --help to it for the words it knows.');
  const [, fact = error.message, near] = /^error: (.*?)(?:\s*\(Did you mean (.*)\?\))?$/s.exec(error.message) ?? [];
  const details = { reason: error.code.replace('commander.', ''), ...(near === undefined ? {} : { suggestion: near }) };
  return usageError(sentence(fact), remedyFor(error.code, fact, near), details);
}

function isParserError(error: unknown): error is ParserError {
  return (
    error instanceof Error && 'code' in error && String(error.code).startsWith('commander.') && 'exitCode' in error
  );
}

function sentence(fact: string): string {
  return fact.charAt(0).toUpperCase() + fact.slice(1).replace(/\.$/, '');
}

function remedyFor(code: string, fact: string, near: string | undefined): string {
  if (near !== undefined) return `Did you mean ${near.replace('one of ', '')}?`;
  if (code === 'commander.unknownCommand') return 'See `opencode-tools --help` for the commands.';
  if (code === 'commander.unknownOption' && / '-\w/.test(fact)) {
    return 'Add --help to the command for its options; put -- before a command that is to run in a sandbox.';
  }
  return 'Add --help to the command for its parameters and options.';
}
