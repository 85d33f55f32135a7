import { type Task, type UpdateTask, shortId } from '@opencode-tools/core';
import { type Input, given } from '../arguments/input.ts';
import { usageError } from '../arguments/usage-error.ts';
import { type NameValue, choice, expectedVersion, nameValue, text } from '../arguments/values.ts';
import { type Command, type CommandContext, taskParameter } from '../command.ts';
import { oneLine } from '../render/format.ts';

const clearable = ['description', 'labels', 'owner', 'project', 'parent', 'depends-on'] as const;
type Clearable = (typeof clearable)[number];

export const updateTask: Command<{ readonly task: Task }> = {
  name: 'update-task',
  summary: 'change what a task says about itself; what is not named stays',
  notes: ['Needs no lease. Give --expected-version to change only the version that you saw.'],
  changes: 'task',
  parameters: [taskParameter],
  options: [
    { name: 'title', value: text('text'), summary: '1 to 200 characters on one line' },
    { name: 'description', value: text('text'), summary: 'what is to be done' },
    { name: 'label', value: nameValue('name=value'), repeatable: true, summary: 'set a label' },
    { name: 'remove-label', value: text('name'), repeatable: true, summary: 'take a label away' },
    { name: 'owner', value: text('name'), summary: 'who owns the task' },
    { name: 'project', value: text('name'), summary: 'project that the task belongs to' },
    { name: 'parent', value: text('task'), summary: 'task that this one is a part of' },
    {
      name: 'depends-on',
      value: text('task'),
      repeatable: true,
      summary: 'task that must come first, in place of those named before',
    },
    { name: 'clear', value: choice('field', clearable), repeatable: true, summary: 'empty a field' },
    { name: 'expected-version', value: expectedVersion(), summary: 'refuse when the task is at another version' },
  ],
  async run(context) {
    const change = await changeOf(context);
    return { task: await context.services.tasks.update(await context.task(), change, context.call) };
  },
  render: ({ task }, style) =>
    `${style.good('updated')} ${style.strong(shortId(task.id))} ${oneLine(task.title)} ${style.dim(`(version ${task.version})`)}`,
};

async function changeOf({ input, services, session }: CommandContext): Promise<UpdateTask> {
  const cleared = input.list<Clearable>('clear');
  assertNotBoth(input, cleared);
  const parent = input.get<string>('parent');
  const dependsOn = await Promise.all(input.list('depends-on').map((reference) => services.tasks.resolve(reference)));
  const setLabels = Object.fromEntries(input.list<NameValue>('label').map(({ name, value }) => [name, value ?? '']));
  return {
    ...session,
    ...emptied(cleared),
    ...given({
      title: input.get<string>('title'),
      description: input.get<string>('description'),
      setLabels: Object.keys(setLabels).length === 0 ? undefined : setLabels,
      removeLabels: input.list('remove-label').length === 0 ? undefined : input.list('remove-label'),
      owner: input.get<string>('owner'),
      project: input.get<string>('project'),
      parentId: parent === undefined ? undefined : await services.tasks.resolve(parent),
      dependsOn: dependsOn.length === 0 ? undefined : dependsOn,
      expectedVersion: input.get<number>('expected-version'),
    }),
  };
}

function emptied(cleared: readonly Clearable[]): UpdateTask {
  const has = (field: Clearable) => cleared.includes(field);
  return {
    ...(has('description') && { description: '' }),
    ...(has('labels') && { labels: {} }),
    ...(has('owner') && { owner: null }),
    ...(has('project') && { project: null }),
    ...(has('parent') && { parentId: null }),
    ...(has('depends-on') && { dependsOn: [] }),
  };
}

function assertNotBoth(input: Input, cleared: readonly Clearable[]): void {
  const both = cleared.find((field) => field !== 'labels' && input.get(field) !== undefined);
  if (both === undefined) return;
  throw usageError(`--${both} and --clear ${both} cannot be combined`, 'Name one of them.', { argument: both });
}
