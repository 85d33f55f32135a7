import type { ReadStream } from 'node:tty';
import type { Execution, OpenTerminal, TerminalCommand } from '@opencode-tools/core';
import { given } from '../arguments/input.ts';
import { usageError } from '../arguments/usage-error.ts';
import { type NameValue, nameValue, text } from '../arguments/values.ts';
import { type Command, type CommandContext, taskParameter } from '../command.ts';
import { makeRaw } from '../make-raw.ts';
import { tripwireFacts } from '../render/tripwire-facts.ts';
import { execExitCodes, exitCodeOf, explain, secretsOf, variablesOf } from './exec.ts';

export const shell: Command<Execution> = {
  name: 'shell',
  summary: 'open a shell, or another program, on a terminal in the sandbox of a task',
  notes: [
    'Keys go to the sandbox, Ctrl-C and Ctrl-D too. It ends with the program; when the terminal goes away or this process is told to end, the program is ended, with all that it started. The exit code is the one of the program.',
    'What the terminal showed is kept as the output of an execution.',
  ],
  changes: 'task',
  failureExitCode: execExitCodes.ours,
  parameters: [
    taskParameter,
    { name: 'command', summary: 'in place of a shell, after --', optional: true, variadic: true },
  ],
  options: [
    {
      name: 'cwd',
      value: text('directory'),
      summary: 'absolute, or relative to the workspace (default: the workspace)',
    },
    { name: 'env', value: nameValue('name'), repeatable: true, summary: 'variable for the program' },
    {
      name: 'secret',
      value: nameValue('name'),
      repeatable: true,
      summary: 'variable whose value is kept out of outputs',
    },
  ],
  async run(context) {
    const { services, terminal, call } = context;
    const keys = keysOf(context);
    const signals = [terminal.readerGone, ...(call.signal === undefined ? [] : [call.signal])];
    const taskId = await context.task();
    let giveBack = (): void => undefined;
    const onOpen = (remote: OpenTerminal): void => {
      giveBack = joinTerminals(context, keys, remote);
    };
    try {
      const asked = { ...askedFor(context), onOpen };
      const { execution, notices = [] } = await services.executions.runTerminal(taskId, asked, {
        ...call,
        signal: AbortSignal.any(signals),
      });
      giveBack();
      for (const fact of [...notices, explain(execution), ...tripwireFacts(execution)])
        if (fact !== undefined) terminal.writeError(`opencode-tools: ${fact}\n`);
      return execution;
    } finally {
      giveBack();
    }
  },
  render: () => '',
  exitCode: exitCodeOf,
};

function askedFor(context: CommandContext): Omit<TerminalCommand, 'onOpen'> {
  const { session, input, terminal, environment } = context;
  const argv = input.list('command');
  return {
    ...session,
    ...(argv.length === 0 ? {} : { command: { kind: 'argv', argv } }),
    ...secretsOf(context),
    env: { TERM: environment['TERM'] ?? 'xterm', ...variablesOf(input.list<NameValue>('env'), environment) },
    ...given({ cwd: input.get<string>('cwd') }),
    size: sizeOf(context),
    onOutput: (_stream, chunk) => terminal.pass('stdout', chunk),
  };
}

/** Connects the keyboard with the terminal in the sandbox. Returns what gives the keyboard back, any number of times. */
function joinTerminals(context: CommandContext, keys: ReadStream, remote: OpenTerminal): () => void {
  const onData = (bytes: Buffer): void => remote.write(bytes);
  const endResizing = context.terminal.onResize(() => remote.resize(sizeOf(context)));
  makeRaw(keys);
  keys.on('data', onData);
  keys.resume();
  return () => {
    endResizing();
    keys.off('data', onData);
    if (!keys.destroyed) keys.setRawMode(false);
    keys.pause();
  };
}

function keysOf({ stdin, terminal, json }: CommandContext): ReadStream {
  const keys = stdin as ReadStream;
  if (!json && keys.isTTY && terminal.size !== undefined) return keys;
  throw usageError('shell needs a terminal', 'Use `opencode-tools exec` where there is none.', {});
}

/** A terminal that says nothing of its size has the one that terminals always had. */
function sizeOf({ terminal: { size } }: CommandContext): TerminalCommand['size'] {
  return { columns: size?.columns || 80, rows: size?.rows || 24 };
}
