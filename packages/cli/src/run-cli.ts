import { type OpenHome, OpencodeToolsError, type StoreMaintenance, asOpencodeToolsError } from '@opencode-tools/core';
import { parseArguments } from './arguments/parse-arguments.ts';
import type { Command } from './command.ts';
import { commandTable } from './command-table.ts';
import { type Invoked, type Opened, createContext, placesOf } from './create-context.ts';
import { renderError } from './render/render-error.ts';
import { chooseStyle } from './render/style.ts';
import { Terminal } from './terminal.ts';

export interface CliOptions {
  /** Arguments after the script's name. */
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly stdin: NodeJS.ReadableStream;
  readonly stdout: NodeJS.WritableStream & { readonly columns?: number };
  readonly stderr: NodeJS.WritableStream;
  /** Whether a person reads `stdout`. */
  readonly isTty: boolean;
  /** Aborted by Ctrl-C, or with the reason `SIGTERM`. */
  readonly signal: AbortSignal;
  /** Directory that relative paths start at. */
  readonly cwd: string;
  readonly version: string;
  /** Called at most once, after the arguments were found good. */
  readonly openHome: (options: { readonly home?: string; readonly configFile?: string }) => Promise<OpenHome>;
  /** In its place for verbs on the registry as a whole, which may have to do with one that cannot be opened. */
  readonly maintainHome?: (options: {
    readonly home?: string;
    readonly configFile?: string;
  }) => Promise<StoreMaintenance>;
}

/** Exit codes that no error family gives. */
export const exitCodes = { done: 0, interrupted: 130, terminated: 143, readerGone: 141 } as const;

const defaultWidth = 80;

/**
 * Runs one command line. With `--json` the result is exactly one JSON document on stdout; a failure is
 * `{"error": …}` on stderr, and nothing on stdout.
 *
 * @returns the exit code of the process; never rejects
 */
export async function runCli(options: CliOptions): Promise<number> {
  const terminal = new Terminal(options.stdout, options.stderr);
  let command: Command | undefined;
  try {
    const width = options.isTty ? Math.min(options.stdout.columns ?? defaultWidth, 120) : defaultWidth;
    const invocation = await parseArguments(options.argv, commandTable, { version: options.version, width });
    if (invocation.kind === 'text') {
      terminal.write(ended(invocation.text));
      await terminal.flush();
      return exitCodes.done;
    }
    command = invocation.command.redirect?.(invocation.input) ?? invocation.command;
    if (command.maintain !== undefined) return await runMaintenance(options, { ...invocation, command }, terminal);
    return await runCommand(command, options, await createContext(options, invocation, terminal));
  } catch (error) {
    return report(asOpencodeToolsError(error), command, options, terminal);
  }
}

async function runCommand(command: Command, options: CliOptions, { context, style }: Opened): Promise<number> {
  const { terminal, home } = context;
  let printed: string;
  let code: number;
  try {
    const result = await command.run(context);
    code = command.exitCode?.(result) ?? exitCodes.done;
    printed = context.json ? toJson(command, result) : ended(command.render(result, style));
  } catch (error) {
    // The first failure is the one to tell.
    await home.close().catch(() => undefined);
    throw error;
  }
  await home.close();
  terminal.write(printed);
  await terminal.flush();
  return code === exitCodes.interrupted ? interruptionCode(options, terminal) : code;
}

async function runMaintenance(options: CliOptions, invoked: Invoked, terminal: Terminal): Promise<number> {
  const { command, input, globals } = invoked;
  const json = globals.flag('json');
  const style = chooseStyle(options.environment, { isTty: options.isTty, noColor: globals.flag('no-color') });
  if (options.maintainHome === undefined || command.maintain === undefined) {
    throw new OpencodeToolsError('OCT_CAPABILITY_UNSUPPORTED', 'This program cannot maintain a registry');
  }
  const maintenance = await options.maintainHome(placesOf(globals, options.cwd));
  const { environment, cwd } = options;
  const result = await command.maintain({ input, maintenance, environment, cwd });
  terminal.write(json ? toJson(command, result) : ended(command.render(result, style)));
  await terminal.flush();
  return command.exitCode?.(result) ?? exitCodes.done;
}

function report(
  error: OpencodeToolsError,
  command: Command | undefined,
  options: CliOptions,
  terminal: Terminal,
): number {
  if (terminal.readerGone.aborted && isCancelled(error)) return exitCodes.readerGone;
  if (asksForJson(options.argv)) {
    terminal.writeError(`${JSON.stringify({ error: error.toJSON() })}\n`);
  } else {
    const style = chooseStyle(options.environment, {
      isTty: options.isTty,
      noColor: options.argv.includes('--no-color'),
    });
    terminal.writeError(renderError(error, style, options.environment));
  }
  if (options.signal.aborted) return interruptionCode(options, terminal);
  return failureCode(error, command, options.argv);
}

/** Who stopped the work: a signal to this process, or the reader of its output by going away. */
function interruptionCode({ signal }: CliOptions, terminal: Terminal): number {
  if (signal.aborted) return signal.reason === 'SIGTERM' ? exitCodes.terminated : exitCodes.interrupted;
  return terminal.readerGone.aborted ? exitCodes.readerGone : exitCodes.interrupted;
}

function failureCode(error: OpencodeToolsError, command: Command | undefined, argv: readonly string[]): number {
  const named = command ?? commandTable.find(({ name }) => name === argv.find((argument) => !argument.startsWith('-')));
  return named?.failureExitCode ?? error.exitCode;
}

function isCancelled(error: OpencodeToolsError): boolean {
  return error.code === 'OCT_CANCELLED' || (error.cause instanceof Error && error.cause.name === 'AbortError');
}

/** Looked up in the raw arguments, since those that cannot be parsed are reported too. */
function asksForJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  return (end < 0 ? argv : argv.slice(0, end)).includes('--json');
}

function toJson(command: Command, result: unknown): string {
  return `${JSON.stringify(command.json === undefined ? result : command.json(result), null, 2)}\n`;
}

function ended(text: string): string {
  return text === '' || text.endsWith('\n') ? text : `${text}\n`;
}
