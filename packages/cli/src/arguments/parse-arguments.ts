import type { Command } from '../command.ts';
import { Input } from './input.ts';
import type * as parserModule from './program.ts';
import { asUsageError } from './parser-error.ts';

type Parser = typeof parserModule;

/** What the arguments ask for. */
export type Invocation =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'command'; readonly command: Command; readonly input: Input; readonly globals: Input };

export interface ParseOptions {
  readonly version: string;
  /** Columns of help pages. */
  readonly width: number;
}

/**
 * Turns arguments into an invocation. Nothing is opened or run.
 *
 * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` with a suggestion where one is near
 */
export async function parseArguments(
  argv: readonly string[],
  commands: readonly Command[],
  options: ParseOptions,
): Promise<Invocation> {
  const parser = await import('./program.ts');
  const likely = likelyCommands(argv, commands);
  try {
    if (likely.length > 0) return parseWith(parser, argv, likely, options);
  } catch {
    // What the words mean, and which are near them, is for the whole table to say.
  }
  return parseWith(parser, argv, commands, options);
}

/** Start-up counts: building the parser for all commands when one is meant costs milliseconds. */
function likelyCommands(argv: readonly string[], commands: readonly Command[]): readonly Command[] {
  const word = argv.find((argument) => !argument.startsWith('-'));
  return commands.filter(({ name }) => name.split(' ')[0] === word);
}

function parseWith(
  { buildProgram }: Parser,
  argv: readonly string[],
  commands: readonly Command[],
  options: ParseOptions,
): Invocation {
  const printed: string[] = [];
  let invocation: Invocation | undefined;
  const tree = buildProgram(commands, {
    ...options,
    print: (text) => void printed.push(text),
    select: (command, values, globals) => {
      invocation = { kind: 'command', command, input: new Input(values), globals: new Input(globals) };
    },
  });
  if (argv.length === 0) return { kind: 'text', text: tree.helpInformation() };
  try {
    tree.parse([...argv], { from: 'user' });
  } catch (error) {
    const failure = asUsageError(error);
    if (failure !== undefined) throw failure;
  }
  return invocation ?? { kind: 'text', text: printed.join('') };
}
