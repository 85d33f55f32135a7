import { resolve } from 'node:path';
import {
  type ConflictStrategy,
  type CreateTask,
  type DirtyPolicy,
  type Task,
  conflictStrategies,
  dirtyPolicies,
  shortId,
  workspaceNotices,
} from '@opencode-tools/core';
import { type Input, given } from '../arguments/input.ts';
import { networkOf, networkOptions } from '../arguments/network-options.ts';
import { usageError } from '../arguments/usage-error.ts';
import { secretReference } from '../arguments/secret-reference.ts';
import { type NameValue, choice, decimal, integer, nameValue, path, size, text } from '../arguments/values.ts';
import type { Command, CommandContext } from '../command.ts';
import { lines, oneLine } from '../render/format.ts';

/** Records a task; its sandbox is made when first used. */
export const createTask: Command<{ readonly task: Task }> = {
  name: 'create-task',
  summary: 'create a task with a workspace of its own',
  notes: [
    'The source of the workspace is read and kept now; the sandbox is made when it is first used. A variable given by --env is looked up each time a command starts, and its value is never recorded: NAME, NAME=env:VARIABLE, NAME=file:PATH or NAME=command:PROGRAM ARGUMENT... (what it prints; a JSON array where a word has spaces).',
  ],
  changes: 'home',
  parameters: [{ name: 'title', summary: '1 to 200 characters on one line' }],
  options: [
    { name: 'description', value: text('text'), summary: 'what is to be done' },
    { name: 'image', value: text('reference'), summary: 'sandbox image (default: of the configuration)' },
    { name: 'git', value: path('path'), summary: 'fill the workspace from a git repository' },
    { name: 'ref', value: text('ref'), summary: 'with --git: branch, tag or commit (default: HEAD)' },
    { name: 'dirty', value: choice('policy', dirtyPolicies), summary: 'with --git: uncommitted changes' },
    { name: 'directory', value: path('path'), summary: 'fill the workspace from a directory' },
    { name: 'bind', value: path('path'), summary: 'work in a directory of the host itself' },
    { name: 'memory', value: size(), summary: 'memory and swap together' },
    { name: 'cpus', value: decimal('count', 0.1, 1_024), summary: 'cores' },
    { name: 'pids', value: integer('count', 16, 4_194_304), summary: 'processes and threads at once' },
    { name: 'tmp', value: size(), summary: 'size of /tmp' },
    ...networkOptions,
    { name: 'env', value: nameValue('name'), repeatable: true, summary: 'variable for every command of the task' },
    { name: 'cache', value: text('name'), repeatable: true, summary: 'share this cache of the configuration' },
    { name: 'read-only-root', summary: 'mount the root file system read-only' },
    { name: 'runtime', value: text('name'), summary: 'OCI runtime of the engine' },
    { name: 'collaborative', summary: 'let several agents attach at once' },
    { name: 'max-agents', value: integer('count', 1, 1_000), summary: 'with --collaborative: how many' },
    { name: 'conflict', value: choice('strategy', conflictStrategies), summary: 'what overlapping claims lead to' },
    { name: 'label', value: nameValue('name=value'), repeatable: true, summary: 'label' },
    { name: 'owner', value: text('name'), summary: 'who owns the task' },
    { name: 'project', value: text('name'), summary: 'project that the task belongs to' },
    { name: 'parent', value: text('task'), summary: 'task that this one is a part of' },
    { name: 'depends-on', value: text('task'), repeatable: true, summary: 'task that must come first' },
  ],
  async run(context) {
    return { task: await context.services.tasks.create(await requestOf(context), context.call) };
  },
  render({ task }, style) {
    return lines(
      `${style.good('created')} ${style.strong(shortId(task.id))} ${oneLine(task.title)}`,
      style.dim(task.id),
      ...workspaceNotices(task.workspace),
      `Run a command in it:  opencode-tools exec ${shortId(task.id)} -- <command>`,
    );
  },
};

async function requestOf(context: CommandContext): Promise<CreateTask> {
  const { input, services } = context;
  const parent = input.get<string>('parent');
  const dependsOn = await Promise.all(input.list('depends-on').map((reference) => services.tasks.resolve(reference)));
  const labels = Object.fromEntries(input.list<NameValue>('label').map(({ name, value }) => [name, value ?? '']));
  return {
    title: input.text('title'),
    ...given({
      description: input.get<string>('description'),
      image: input.get<string>('image'),
      workspace: workspaceOf(input, context.cwd),
      limits: limitsOf(input),
      network: networkOf(input, services),
      env: listOrAbsent(input.list<NameValue>('env').map((value) => secretReference('--env', value, context.cwd))),
      caches: listOrAbsent(input.list('cache')),
      readOnlyRoot: input.flag('read-only-root') ? true : undefined,
      runtime: input.get<string>('runtime'),
      leaseMode: input.flag('collaborative') ? ('collaborative' as const) : undefined,
      maxAgents: input.get<number>('max-agents'),
      conflictStrategy: input.get<ConflictStrategy>('conflict'),
      labels: Object.keys(labels).length === 0 ? undefined : labels,
      owner: input.get<string>('owner'),
      project: input.get<string>('project'),
      parentId: parent === undefined ? undefined : await services.tasks.resolve(parent),
      dependsOn: listOrAbsent(dependsOn),
      agent: input.get<string>('agent'),
      model: input.get<string>('model'),
    }),
  };
}

function workspaceOf(input: Input, cwd: string): CreateTask['workspace'] {
  const [kind, second] = (['git', 'directory', 'bind'] as const).filter((name) => input.get(name) !== undefined);
  if (second !== undefined) {
    throw usageError(`--${kind} and --${second} cannot be combined`, 'Name one source for the workspace.');
  }
  const lost = (['ref', 'dirty'] as const).find((name) => kind !== 'git' && input.get(name) !== undefined);
  if (lost !== undefined)
    throw usageError(`--${lost} has no meaning without --git`, 'Add --git PATH.', { argument: lost });
  if (kind === undefined) return undefined;
  const path = resolve(cwd, input.text(kind));
  if (kind !== 'git') return { kind, path };
  return { kind, path, ...given({ ref: input.get<string>('ref'), dirty: input.get<DirtyPolicy>('dirty') }) };
}

function limitsOf(input: Input): CreateTask['limits'] {
  const limits = given({
    memoryBytes: input.get<number>('memory'),
    cpus: input.get<number>('cpus'),
    pids: input.get<number>('pids'),
    tmpBytes: input.get<number>('tmp'),
  });
  return Object.keys(limits).length === 0 ? undefined : limits;
}

function listOrAbsent<T>(items: readonly T[]): readonly T[] | undefined {
  return items.length === 0 ? undefined : items;
}
