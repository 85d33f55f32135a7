import { constants } from 'node:os';
import type {
  Command as SandboxCommand,
  EnvReference,
  Execution,
  ExecutionResult,
  RunCommand,
} from '@opencode-tools/core';
import { given } from '../arguments/input.ts';
import { quoted, usageError } from '../arguments/usage-error.ts';
import { secretReference } from '../arguments/secret-reference.ts';
import { type NameValue, duration, nameValue, text } from '../arguments/values.ts';
import { type Command, type CommandContext, taskParameter } from '../command.ts';
import { readAll } from '../read-all.ts';
import { oneLine, shownPath } from '../render/format.ts';
import { tripwireFacts } from '../render/tripwire-facts.ts';

/** Exit codes that the command did not give itself. */
export const execExitCodes = { timeout: 124, ours: 125, outOfMemory: 137, outputLimit: 153 } as const;

export const exec: Command<ExecutionResult | Execution> = {
  name: 'exec',
  summary: 'run a command in the sandbox of a task, which is made or started when needed',
  notes: [
    'Output is passed through as it comes; the whole of it is kept in the task. The exit code is the one of the command: 128 + n when signal n ended it, 124 after --timeout, 137 when memory ran out, 153 when it put out more than is kept (exec.maxOutput), 130 after Ctrl-C, and 125 when opencode-tools itself failed.',
    'A command in the background goes on when this process ends, and ends with its session. See `logs`, `wait`, `signal` and `stdin`.',
    'In a shell, what commands do to directory, variables and functions stays, from one process to the next; --cwd and --env stay too. It ends with its session, by `exit`, or by `close-shell`. After it ended otherwise, --new-shell begins another.',
    'A variable given by --secret is for this command only too: its value is looked up, and what the command prints of it is replaced before anything is kept or shown. NAME takes it from the environment of opencode-tools, NAME=env:VARIABLE, NAME=file:PATH and NAME=command:PROGRAM from elsewhere.',
    'Variables given by --env are for this command only. NAME takes the value from the environment of opencode-tools, and is to be preferred: NAME=VALUE shows it to whoever lists processes. Names are recorded, values never.',
  ],
  changes: 'task',
  failureExitCode: execExitCodes.ours,
  parameters: [
    taskParameter,
    { name: 'command', summary: 'the command and its arguments, after --', optional: true, variadic: true },
  ],
  options: [
    { name: 'script', value: text('text'), summary: 'run this by `sh -c` instead' },
    {
      name: 'cwd',
      value: text('directory'),
      summary: 'absolute, or relative to the workspace (default: the workspace)',
    },
    { name: 'env', value: nameValue('name'), repeatable: true, summary: 'variable for this command' },
    {
      name: 'secret',
      value: nameValue('name'),
      repeatable: true,
      summary: 'variable whose value is kept out of outputs',
    },
    { name: 'stdin', summary: 'pass standard input on, read to its end first (64 MiB at most)' },
    { name: 'timeout', value: duration(1, 86_400_000), summary: 'end the command after this time (default: 10m)' },
    { name: 'shell', value: text('name'), summary: 'run it in this shell of the session, begun when there is none' },
    { name: 'new-shell', summary: 'with --shell: end the shell of that name and begin another' },
    {
      name: 'background',
      summary: 'start it and print its id; needs a session; ended after 24h unless --timeout says',
    },
    { name: 'open-stdin', summary: 'with --background: keep its standard input open for `stdin`' },
  ],
  async run(context) {
    const { call, services, terminal } = context;
    const signals = [terminal.readerGone, ...(call.signal === undefined ? [] : [call.signal])];
    if (context.input.flag('background')) return startInBackground(context);
    const told = new Set<string>();
    const onNotice = (notice: string): void => {
      told.add(notice);
      if (!context.json) writeFacts([notice], terminal);
    };
    const request = { ...(await requestOf(context)), onNotice };
    const taskId = await context.task();
    const result = await services.executions.run(taskId, request, { ...call, signal: AbortSignal.any(signals) });
    if (!context.json) await tell(result, told, terminal);
    return result;
  },
  render: (result) => ('execution' in result ? '' : result.id),
  exitCode: (result) => ('execution' in result ? exitCodeOf(result.execution) : 0),
};

async function startInBackground(context: CommandContext): Promise<Execution> {
  const { call, services, session, input, environment } = context;
  if (input.flag('stdin')) {
    throw usageError('--stdin cannot be combined with --background', 'Use --open-stdin, then `opencode-tools stdin`.', {
      argument: '--stdin',
    });
  }
  if (input.get('shell') !== undefined) {
    throw usageError('--shell cannot be combined with --background', 'Leave one of them out.', { argument: '--shell' });
  }
  const options = {
    ...session,
    command: commandOf(input.list('command'), input.get('script')),
    env: variablesOf(input.list<NameValue>('env'), environment),
    openInput: input.flag('open-stdin'),
    ...secretsOf(context),
    ...given({ cwd: input.get<string>('cwd'), timeoutMs: input.get<number>('timeout') }),
  };
  return services.executions.start(await context.task(), options, call);
}

export function variablesOf(
  given: readonly NameValue[],
  environment: CommandContext['environment'],
): Record<string, string> {
  return Object.fromEntries(given.map((variable) => valueOf(variable, environment)));
}

export function secretsOf({ input, cwd }: CommandContext): { readonly secrets?: readonly EnvReference[] } {
  const secrets = input.list<NameValue>('secret').map((value) => secretReference('--secret', value, cwd));
  return secrets.length === 0 ? {} : { secrets };
}

/** What a person sees besides the output that was passed through. */
async function tell(
  result: ExecutionResult,
  told: ReadonlySet<string>,
  terminal: CommandContext['terminal'],
): Promise<void> {
  if (result.replayed === true) {
    await terminal.pass('stdout', Buffer.from(result.stdout.text));
    await terminal.pass('stderr', Buffer.from(result.stderr.text));
  }
  const { execution, notices = [], outsideClaims } = result;
  const untold = notices.filter((notice) => !told.has(notice));
  writeFacts([...untold, explain(execution), outside(outsideClaims), ...tripwireFacts(execution)], terminal);
}

function writeFacts(facts: readonly (string | undefined)[], terminal: CommandContext['terminal']): void {
  for (const fact of facts) if (fact !== undefined) terminal.writeError(`opencode-tools: ${fact}\n`);
}

async function requestOf(context: CommandContext): Promise<RunCommand> {
  const { input, session, terminal, environment, json } = context;
  const command = commandOf(input.list('command'), input.get('script'));
  const env = variablesOf(input.list<NameValue>('env'), environment);
  return {
    ...session,
    command,
    env,
    ...secretsOf(context),
    ...given({
      cwd: input.get<string>('cwd'),
      timeoutMs: input.get<number>('timeout'),
      shell: input.get<string>('shell'),
      newShell: input.flag('new-shell') ? true : undefined,
    }),
    ...(input.flag('stdin') ? { stdin: await readAll(context.stdin) } : {}),
    ...(json ? {} : { onOutput: (stream, chunk) => terminal.pass(stream, chunk) }),
  };
}

function commandOf(argv: readonly string[], script: string | undefined): SandboxCommand {
  if (script !== undefined && argv.length > 0) {
    throw usageError('--script and a command cannot be combined', 'Leave one of them out.', { argument: '--script' });
  }
  if (script !== undefined) return { kind: 'script', script };
  if (argv.length > 0) return { kind: 'argv', argv };
  throw usageError('No command was given', "Write it after --, as in `exec TASK -- ls -l`, or use --script 'text'.", {
    argument: 'command',
  });
}

function valueOf(
  { name, value }: NameValue,
  environment: CommandContext['environment'],
): readonly [name: string, value: string] {
  const found = value ?? environment[name];
  if (found !== undefined) return [name, found];
  throw usageError(
    `--env ${quoted(name)} is not set in the environment`,
    'Set the variable, or leave the option out.',
    { argument: '--env', name },
  );
}

/** The code by which the process says how the command ended, as shells and `docker run` do. */
export function exitCodeOf({ exitCode, reason, signal }: Pick<Execution, 'exitCode' | 'reason' | 'signal'>): number {
  if (reason === 'timeout') return execExitCodes.timeout;
  if (reason === 'cancelled') return 130;
  if (reason === 'out-of-memory') return execExitCodes.outOfMemory;
  if (reason === 'output-limit') return execExitCodes.outputLimit;
  if (exitCode !== null) return exitCode;
  const number = signal === null ? undefined : constants.signals[signal as NodeJS.Signals];
  return reason === 'signalled' && number !== undefined ? 128 + number : execExitCodes.ours;
}

function outside(claims: ExecutionResult['outsideClaims']): string | undefined {
  if (claims === undefined || (claims.checked && claims.total === 0)) return undefined;
  if (!claims.checked)
    return `not compared with the claims: ${oneLine(claims.reason ?? 'the workspace could not be read')}`;
  const more = claims.total - claims.paths.length;
  const listed = claims.paths.map(shownPath).join(', ');
  return `changed outside the claims of this session: ${listed}${more > 0 ? ` and ${more} more` : ''}`;
}

/** Why a command was ended, when that was not its own doing. */
export function explain({ reason, durationMs }: Execution): string | undefined {
  if (reason === 'timeout') return `the command was ended after ${durationMs ?? 0} ms by its time limit (--timeout)`;
  if (reason === 'out-of-memory')
    return 'the command was ended because the memory of the sandbox ran out (--memory of create-task)';
  if (reason === 'output-limit')
    return 'the command was ended because it put out more than is kept (exec.maxOutput of the configuration)';
  if (reason === 'fenced') return 'the command was ended because another session took the task over';
  if (reason === 'owner-died')
    return 'the command was interrupted when the process that ran it died; what it had put out until then is kept';
  if (reason === 'sandbox-gone') return 'the command was ended because its sandbox was stopped or removed';
  return undefined;
}
