import type { Actor, Call, JsonObject, OpenHome, SessionId, TaskId } from '@opencode-tools/core';
import type * as z from 'zod/v4';

/** What a tool says: a short text for the model, and the same facts for programs. */
export interface ToolAnswer<Data> {
  readonly text: string;
  readonly data: Data;
}

/** What a tool gets for one call. */
export interface ToolContext {
  readonly home: OpenHome;
  /** Aborts when the client cancels the call or goes away. */
  readonly signal: AbortSignal;
  /** Tells the client in a few words what long work is doing. */
  readonly progress: (message: string) => void;
  /** Turns what a person or a model writes into the id of a task; a repeated call may name it by the title it had. */
  taskId(reference: string, idempotencyKey?: string): Promise<TaskId>;
  /** The last parameter of a mutating verb. */
  call(who: Caller, idempotencyKey?: string): Promise<Call>;
  /** Keeps a session that was attached here alive as long as this server runs. */
  keepAlive(sessionId: SessionId, ttlMs: number, actor: Actor): void;
  /** Ends what `keepAlive` began. */
  letGo(sessionId: SessionId): void;
}

/** Who makes a call: the agent of a session, a named agent that has none yet, or just the client. */
export interface Caller {
  readonly sessionId?: SessionId | undefined;
  readonly agent?: string | undefined;
  readonly model?: string | undefined;
}

/** Hints of the protocol; hosts use them to decide what to ask a person about. */
export interface ToolAnnotations {
  readonly readOnlyHint: boolean;
  readonly destructiveHint: boolean;
  readonly idempotentHint: boolean;
  readonly openWorldHint: boolean;
}

/** One row of the tool table. */
export interface Tool {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly annotations: ToolAnnotations;
  readonly input: z.ZodObject;
  readonly output: z.ZodObject;
  readonly run: (args: unknown, context: ToolContext) => Promise<ToolAnswer<JsonObject>>;
}

/** Defines a tool; its function sees arguments that were checked against `input`. */
export function defineTool<Input extends z.ZodObject, Output extends z.ZodObject>(definition: {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly annotations?: Partial<ToolAnnotations>;
  readonly input: Input;
  readonly output: Output;
  readonly run: (args: z.output<Input>, context: ToolContext) => Promise<ToolAnswer<z.input<Output>>>;
}): Tool {
  const run = definition.run as unknown as Tool['run'];
  return { ...definition, annotations: { ...cautious, ...definition.annotations }, run };
}

const cautious: ToolAnnotations = {
  readOnlyHint: false,
  destructiveHint: false,
  idempotentHint: false,
  openWorldHint: false,
};
