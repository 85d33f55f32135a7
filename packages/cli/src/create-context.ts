import { userInfo } from 'node:os';
import { resolve } from 'node:path';
import { type Actor, type Call, type OpenHome, type SessionId, parseId } from '@opencode-tools/core';
import { type Input, given } from './arguments/input.ts';
import type { Command, CommandContext } from './command.ts';
import { doctor } from './commands/doctor.ts';
import { oneLine } from './render/format.ts';
import { type Style, chooseStyle } from './render/style.ts';
import type { CliOptions } from './run-cli.ts';
import type { Terminal } from './terminal.ts';

export interface Invoked {
  readonly command: Command;
  readonly input: Input;
  readonly globals: Input;
}

export interface Opened {
  readonly context: CommandContext;
  readonly style: Style;
}

type Environment = CliOptions['environment'];

/** Opens the home, which the caller closes, and gathers what a verb needs. */
export async function createContext(options: CliOptions, invoked: Invoked, terminal: Terminal): Promise<Opened> {
  const { environment, cwd, stdin } = options;
  const { command, input, globals } = invoked;
  const sessionId = command.changes === 'task' ? sessionOf(input, environment) : undefined;
  const json = globals.flag('json');
  const style = chooseStyle(environment, { isTty: options.isTty, noColor: globals.flag('no-color') });
  const accountName = accountNameOf(environment);
  const home = await options.openHome(placesOf(globals, cwd));
  const { services } = home;
  if (!json && command !== doctor) tellNotices(home, terminal, style);
  const call: Call = {
    actor: await actorOf(input, sessionId, accountName, home),
    signal: options.signal,
    ...given({ idempotencyKey: input.get<string>('idempotency-key') }),
    ...(options.isTty && !json
      ? { onProgress: (message) => terminal.writeError(`${style.dim(oneLine(message, 500))}\n`) }
      : {}),
  };
  const session = given({ sessionId });
  const task = () => services.tasks.resolve(input.text('task'), call);
  const context = { input, home, services, call, session, environment, cwd, json, terminal, stdin, accountName, task };
  return { context, style };
}

/** Not with `--json`, where what is on stderr is one document, too; the doctor says it in either. */
function tellNotices({ notices }: OpenHome, terminal: Terminal, style: Style): void {
  for (const { message, remedy } of notices)
    terminal.writeError(`${style.warning('warning:')} ${oneLine(message, 500)}. ${oneLine(remedy, 500)}\n`);
}

function sessionOf(input: Input, environment: Environment): SessionId | undefined {
  const named = input.get<string>('session') ?? environment['OPENCODE_TOOLS_SESSION'];
  return named === undefined || named === '' ? undefined : parseId('session', named);
}

/** The named agent, else the one whose session it is, else the account. */
async function actorOf(
  input: Input,
  sessionId: SessionId | undefined,
  accountName: string,
  home: OpenHome,
): Promise<Actor> {
  const named = input.get<string>('agent');
  const attached = sessionId === undefined || named !== undefined ? undefined : await sessionIn(home, sessionId);
  const agent = named ?? attached?.agent ?? null;
  return {
    kind: agent === null ? 'user' : 'agent',
    id: agent ?? accountName,
    agent,
    model: input.get<string>('model') ?? attached?.model ?? null,
    session: sessionId ?? null,
    onBehalfOf: agent === null ? null : accountName,
  };
}

async function sessionIn(home: OpenHome, sessionId: SessionId) {
  try {
    return await home.services.sessions.get(sessionId);
  } catch (error) {
    await home.close();
    throw error;
  }
}

function accountNameOf(environment: Environment): string {
  try {
    return userInfo().username;
  } catch {
    // A uid without an entry in the account database, as in many containers.
    return environment['USER'] ?? environment['LOGNAME'] ?? 'unknown';
  }
}

/** The home and configuration file that the caller names. */
export function placesOf(globals: Input, cwd: string): { readonly home?: string; readonly configFile?: string } {
  return given({ home: absolute(globals.get('home'), cwd), configFile: absolute(globals.get('config'), cwd) });
}

function absolute(path: string | undefined, cwd: string): string | undefined {
  return path === undefined ? undefined : resolve(cwd, path);
}
