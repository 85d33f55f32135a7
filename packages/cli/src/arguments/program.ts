import { Argument, Command as Program, Option } from 'commander';
import type { Command, CommandOption, CommandParameter } from '../command.ts';
import { commandGroups } from '../command-table.ts';
import { globalOptions, optionsOf } from './common-options.ts';
import type { ParseOptions } from './parse-arguments.ts';
import { quoted, usageError } from './usage-error.ts';

type Values = ReadonlyMap<string, unknown>;

interface ProgramOptions extends ParseOptions {
  readonly print: (text: string) => void;
  readonly select: (command: Command, values: Values, globals: Values) => void;
}

/** Builds the parser's program from the table of commands. */
export function buildProgram(commands: readonly Command[], options: ProgramOptions): Program {
  const program = configure(new Program('opencode-tools'), options)
    .description('Durable, resumable Docker sandboxes for AI coding agents.')
    .version(options.version, '-V, --version', 'print the version');
  for (const option of globalOptions) program.addOption(parserOption(option));
  const groups = new Map<string, Program>();
  for (const command of commands) {
    const [first = '', second] = command.name.split(' ');
    const parent = second === undefined ? program : groupOf(first);
    const verb = configure(parent.command(second ?? first), options);
    describe(verb, command);
    verb.action((...given: unknown[]) => {
      options.select(command, valuesOf(command, given, verb), optionValues(globalOptions, program));
    });
  }
  return program;

  function groupOf(name: string): Program {
    const known = groups.get(name);
    if (known !== undefined) return known;
    const group = configure(program.command(name), options)
      .summary(commandGroups[name] ?? '')
      .description(capital(`${commandGroups[name] ?? ''}.`));
    groups.set(name, group);
    return group;
  }
}

function configure(program: Program, options: ProgramOptions): Program {
  return program
    .exitOverride()
    .configureHelp({ showGlobalOptions: true, minWidthToWrap: 30, subcommandTerm: (command) => termOf(command) })
    .configureOutput({
      writeOut: options.print,
      writeErr: () => undefined,
      getOutHelpWidth: () => options.width,
      getErrHelpWidth: () => options.width,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    });
}

function termOf(program: Program): string {
  const parameters = program.registeredArguments.map((argument) => {
    const name = `${argument.name()}${argument.variadic ? '...' : ''}`;
    return argument.required ? `<${name}>` : `[${name}]`;
  });
  return [program.name(), ...parameters].join(' ');
}

function describe(verb: Program, command: Command): void {
  verb.summary(command.summary);
  verb.description([capital(`${command.summary}.`), ...(command.notes ?? [])].join('\n\n'));
  for (const parameter of command.parameters) verb.addArgument(parserArgument(parameter));
  for (const option of optionsOf(command)) verb.addOption(parserOption(option));
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function parserArgument({ name, summary, optional, variadic, choices }: CommandParameter): Argument {
  const word = `${name}${variadic === true ? '...' : ''}`;
  const argument = new Argument(optional === true ? `[${word}]` : `<${word}>`, withChoices(summary, choices));
  if (choices === undefined) return argument;
  return argument.argParser((value) => {
    if (choices.includes(value)) return value;
    throw usageError(`${name} cannot be ${quoted(value)}`, `Use one of: ${choices.join(', ')}.`, { argument: name });
  });
}

function parserOption({ name, short, value, repeatable, summary }: CommandOption): Option {
  const flags = `${short === undefined ? '' : `-${short}, `}--${name}${value === undefined ? '' : ` <${value.placeholder}>`}`;
  const option = new Option(
    flags,
    withChoices(repeatable === true ? `${summary} (repeatable)` : summary, value?.choices),
  );
  if (value === undefined) return option;
  return option.argParser((text, previous: unknown) => {
    const parsed = value.parse(text, `--${name}`);
    return repeatable === true ? [...((previous as unknown[] | undefined) ?? []), parsed] : parsed;
  });
}

function withChoices(summary: string, choices: readonly string[] | undefined): string {
  return choices === undefined ? summary : `${summary}: ${choices.join(', ')}`;
}

function valuesOf(command: Command, given: readonly unknown[], verb: Program): Values {
  const parameters = command.parameters.map((parameter, index) => [parameter.name, given[index]] as const);
  return new Map([...parameters, ...optionValues(optionsOf(command), verb)]);
}

function optionValues(options: readonly CommandOption[], program: Program): ReadonlyMap<string, unknown> {
  const values = program.opts<Record<string, unknown>>();
  return new Map(options.map(({ name }) => [name, valueOf(name, values)]));
}

function valueOf(name: string, values: Readonly<Record<string, unknown>>): unknown {
  if (name.startsWith('no-')) return values[camelCase(name.slice(3))] === false;
  return values[camelCase(name)];
}

function camelCase(name: string): string {
  return name.replace(/-(\w)/g, (_match, letter: string) => letter.toUpperCase());
}
