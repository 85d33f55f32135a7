import type { Command } from '../command.ts';
import { Input } from './input.ts';
import { asUsageError } from './parser-error.ts';

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
  const { buildProgram } = await import('./program.ts');
  const printed: string[] = [];
  let invocation: Invocation | undefined;
  const program = buildProgram(commands, {
    ...options,
    print: (text) => void printed.push(text),
    select: (command, values, globals) => {
      invocation = { kind: 'command', command, input: new Input(values), globals: new Input(globals) };
    },
  });
  if (argv.length === 0) return { kind: 'text', text: program.helpInformation() };
  try {
    program.parse([...argv], { from: 'user' });
  } catch (error) {
    const failure = asUsageError(error);
    if (failure !== undefined) throw failure;
  }
  return invocation ?? { kind: 'text', text: printed.join('') };
}
