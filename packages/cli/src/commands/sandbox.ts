import { type LimitRequest, type Sandbox, type SandboxUpdate, shortId } from '@opencode-tools/core';
import { type Input, given } from '../arguments/input.ts';
import { decimal, duration, integer, size, text } from '../arguments/values.ts';
import { type Command, type CommandContext, type CommandOption, taskParameter } from '../command.ts';
import { lines, oneLine } from '../render/format.ts';
import type { Style } from '../render/style.ts';

interface Shown {
  readonly sandbox: Sandbox | null;
}

const grace: CommandOption = {
  name: 'grace',
  value: duration(0, 60_000),
  summary: 'how long processes may take to end by themselves',
};
const liveLimits: readonly CommandOption[] = [
  { name: 'memory', value: size(), summary: 'memory and swap together' },
  { name: 'cpus', value: decimal('count', 0.1, 1_024), summary: 'cores' },
  { name: 'pids', value: integer('count', 16, 4_194_304), summary: 'processes and threads at once' },
];

export const sandboxStart = verb('start', 'make, start or unpause the sandbox of a task', {}, async (context) =>
  context.services.sandboxes.start(await context.task(), context.session, context.call),
);

export const sandboxStop = verb(
  'stop',
  'end what runs in a sandbox and stop it; sessions stay',
  { options: [grace] },
  async (context) =>
    context.services.sandboxes.stop(await context.task(), { ...context.session, ...graceOf(context) }, context.call),
);

export const sandboxRestart = verb(
  'restart',
  'stop a sandbox and start it again',
  { options: [grace] },
  async (context) =>
    context.services.sandboxes.restart(await context.task(), { ...context.session, ...graceOf(context) }, context.call),
);

export const sandboxPause = verb('pause', 'freeze what runs in a sandbox', { shared: true }, async (context) =>
  context.services.sandboxes.pause(await context.task(), context.call),
);

export const sandboxUnpause = verb('unpause', 'let a paused or held sandbox go on', { shared: true }, async (context) =>
  context.services.sandboxes.unpause(await context.task(), context.call),
);

export const sandboxDestroy = verb(
  'destroy',
  'save what is only in a sandbox, then remove its container; the next command makes another',
  {},
  async (context) => context.services.sandboxes.destroy(await context.task(), context.session, context.call),
);

export const sandboxSet: Command<SandboxUpdate> = {
  name: 'sandbox set',
  summary: 'change limits and settings of a sandbox',
  notes: [
    'Memory, cores and processes change while the sandbox runs. The size of /tmp, a read-only root and the runtime need a new container: --recreate allows it, what runs ends and the files stay. Image, user, workspace and network of a task cannot be changed.',
  ],
  changes: 'task',
  parameters: [taskParameter],
  options: [
    ...liveLimits,
    { name: 'tmp', value: size(), summary: 'size of /tmp' },
    { name: 'workspace', value: size(), summary: 'watched size of the workspace' },
    { name: 'read-only-root', summary: 'mount the root file system read-only' },
    { name: 'writable-root', summary: 'mount the root file system writable' },
    { name: 'runtime', value: text('name'), summary: 'OCI runtime of the engine; default for the engine\u2019s own' },
    { name: 'recreate', summary: 'allow a new container' },
  ],
  async run({ input, services, call, session, task }) {
    const runtime = input.get<string>('runtime');
    const settings = {
      limits: given({
        ...limitsOf(input),
        tmpBytes: input.get<number>('tmp'),
        workspaceBytes: input.get<number>('workspace'),
      }),
      ...given({
        readOnlyRoot: input.flag('read-only-root') ? true : input.flag('writable-root') ? false : undefined,
        runtime: runtime === 'default' ? null : runtime,
      }),
    };
    return services.sandboxes.update(await task(), settings, { ...session, recreate: input.flag('recreate') }, call);
  },
  render: renderUpdate,
};

export const sandboxRequest: Command<{ readonly request: LimitRequest }> = {
  name: 'sandbox request',
  summary: 'ask for higher limits of a sandbox',
  changes: 'home',
  parameters: [taskParameter],
  options: [...liveLimits, { name: 'reason', value: text('text'), summary: 'what they are needed for' }],
  async run({ input, services, call, task }) {
    const asked = { limits: given(limitsOf(input)), reason: input.get<string>('reason') ?? '' };
    return { request: await services.sandboxes.requestLimits(await task(), asked, call) };
  },
  render: ({ request: { limits } }, style) =>
    lines(
      `${style.good('requested')} ${limits.memoryBytes} bytes of memory, ${limits.cpus} cores, ${limits.pids} processes`,
      'A person answers with `opencode-tools sandbox grant` or `opencode-tools sandbox deny`.',
    ),
};

export const sandboxGrant = answer('grant', 'give a sandbox the limits that were asked for', true);
export const sandboxDeny = answer('deny', 'turn a request for limits down', false);

function answer(name: string, summary: string, granted: boolean): Command<SandboxUpdate> {
  return {
    name: `sandbox ${name}`,
    summary,
    changes: 'home',
    parameters: [taskParameter],
    options: [{ name: 'reason', value: text('text'), summary: 'why, for the record' }],
    run: async ({ input, services, call, task }) =>
      services.sandboxes.answerLimits(
        await task(),
        { granted, ...given({ reason: input.get<string>('reason') }) },
        call,
      ),
    render: (update, style) => (granted ? renderUpdate(update, style) : style.good('denied')),
  };
}

function verb(
  name: string,
  summary: string,
  { options = [], shared = false }: { readonly options?: readonly CommandOption[]; readonly shared?: boolean },
  run: (context: CommandContext) => Promise<Sandbox | null>,
): Command<Shown> {
  return {
    name: `sandbox ${name}`,
    summary,
    changes: shared ? 'home' : 'task',
    parameters: [taskParameter],
    options,
    run: async (context) => ({ sandbox: await run(context) }),
    render: ({ sandbox }) =>
      sandbox === null ? 'no sandbox' : `sandbox of ${shortId(sandbox.taskId)} is ${sandbox.state}`,
  };
}

function renderUpdate({ task, applied }: SandboxUpdate, style: Style): string {
  const { memoryBytes, cpus, pids } = task.sandboxSpec.limits;
  const when = {
    unchanged: 'as before',
    live: 'now',
    recreated: 'in a new container',
    'next-start': 'at its next start',
  };
  return lines(
    `${style.good('set')} ${style.strong(shortId(task.id))} ${oneLine(task.title)}: ${when[applied]}`,
    style.dim(`${memoryBytes} bytes of memory, ${cpus} cores, ${pids} processes`),
  );
}

function limitsOf(input: Input) {
  return {
    memoryBytes: input.get<number>('memory'),
    cpus: input.get<number>('cpus'),
    pids: input.get<number>('pids'),
  };
}

function graceOf({ input }: CommandContext): { readonly graceMs?: number } {
  return given({ graceMs: input.get<number>('grace') });
}
