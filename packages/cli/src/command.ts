import type { Call, JsonValue, OpenHome, Services, SessionId, StoreMaintenance, TaskId } from '@opencode-tools/core';
import type { Input } from './arguments/input.ts';
import type { Terminal } from './terminal.ts';
import type { Style } from './render/style.ts';

/** What one option's or parameter's text means. */
export interface ValueForm {
  /** Shown in help, such as `duration`. */
  readonly placeholder: string;
  /** Accepted words, when there are few. */
  readonly choices?: readonly string[];
  /**
   * @param where the option or parameter as the caller wrote it, for messages
   * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT`
   */
  parse(text: string, where: string): unknown;
}

export interface CommandOption {
  /** Long name without dashes; also the name under which `Input` has the value. */
  readonly name: string;
  readonly short?: string;
  /** Absent for a flag. */
  readonly value?: ValueForm;
  readonly repeatable?: boolean;
  readonly summary: string;
}

export interface CommandParameter {
  readonly name: string;
  readonly summary: string;
  readonly optional?: boolean;
  readonly variadic?: boolean;
  readonly choices?: readonly string[];
}

/**
 * One verb of the command line. It decides what to call and returns data; the one renderer prints that data, as `render`
 * says or as JSON.
 */
export interface Command<Result = unknown> {
  /** One word, or group and verb: `todo add`. */
  readonly name: string;
  readonly summary: string;
  /** Further sentences for the help page. */
  readonly notes?: readonly string[];
  readonly parameters: readonly CommandParameter[];
  readonly options: readonly CommandOption[];
  /**
   * `home` adds `--agent`, `--model` and `--idempotency-key`; `task` adds `--session` as well: the verb is made under a
   * lease. Absent for verbs that only read.
   */
  readonly changes?: 'home' | 'task';
  /** Exit code of our own failures, where the family's code could be mistaken for a command's. */
  readonly failureExitCode?: number;
  run(context: CommandContext): Promise<Result>;
  /** In place of `run`, for a verb on the registry as a whole: the home is not opened, and need not be able to be. */
  maintain?(context: MaintenanceContext): Promise<Result>;
  /** Another verb that an option stands for. */
  redirect?(input: Input): Command | undefined;
  /** Text for people; empty when everything was written already. */
  render(result: Result, style: Style): string;
  /** Default 0. */
  exitCode?(result: Result): number;
  /** What `--json` prints; the result itself by default. */
  json?(result: Result): JsonValue | object;
}

/** What a verb on the registry as a whole gets. */
interface MaintenanceContext {
  readonly input: Input;
  readonly maintenance: StoreMaintenance;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
}

/** What a verb gets. */
export interface CommandContext {
  readonly input: Input;
  readonly home: OpenHome;
  readonly services: Services;
  readonly call: Call;
  /** From `--session` or `OPENCODE_TOOLS_SESSION`. */
  readonly session: { readonly sessionId?: SessionId };
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Directory that relative paths of the host start at. */
  readonly cwd: string;
  readonly json: boolean;
  readonly terminal: Terminal;
  readonly stdin: NodeJS.ReadableStream;
  /** Name under which a verb attaches when no agent is named. */
  readonly accountName: string;
  /** Resolves the parameter `task`. */
  readonly task: () => Promise<TaskId>;
}

export const taskParameter: CommandParameter = { name: 'task', summary: 'full id, short id or unique title' };
