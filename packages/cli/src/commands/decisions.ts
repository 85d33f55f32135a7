import { type CheckpointId, type Decision, type ExecutionId, type TaskId, shortId } from '@opencode-tools/core';
import { given } from '../arguments/input.ts';
import { idOf, text } from '../arguments/values.ts';
import { type Command, taskParameter } from '../command.ts';
import { findExecution } from '../find-by-short-id.ts';
import { formatTime, lines, oneLine, safeText } from '../render/format.ts';

export const decide: Command<{ readonly decision: Decision }> = {
  name: 'decide',
  summary: 'record a decision for whoever comes next',
  changes: 'task',
  parameters: [taskParameter, { name: 'what', summary: 'what was decided, 1 to 500 characters' }],
  options: [
    { name: 'why', value: text('text'), summary: 'the reason' },
    { name: 'alternative', value: text('text'), repeatable: true, summary: 'what else was weighed' },
    { name: 'execution', value: idOf('execution'), repeatable: true, summary: 'execution that is evidence' },
    { name: 'checkpoint', value: text('checkpoint'), repeatable: true, summary: 'checkpoint that is evidence' },
  ],
  async run({ input, services, call, session, task }) {
    const taskId = await task();
    const executionIds: ExecutionId[] = [];
    for (const reference of input.list('execution'))
      executionIds.push(await findExecution(services, taskId, reference));
    const checkpointIds: CheckpointId[] = [];
    for (const reference of input.list('checkpoint')) {
      checkpointIds.push((await services.checkpoints.get(taskId, reference)).id);
    }
    const decision = {
      ...session,
      what: input.text('what'),
      alternatives: input.list('alternative'),
      executionIds,
      checkpointIds,
      ...given({ why: input.get<string>('why') }),
    };
    return { decision: await services.journal.decide(taskId, decision, call) };
  },
  render: ({ decision }, style) => `${style.good('recorded')} decision ${style.strong(shortId(decision.id))}`,
};

export const taskDecisions: Command<{ readonly taskId: TaskId; readonly decisions: readonly Decision[] }> = {
  name: 'task-decisions',
  summary: 'show the decisions of a task',
  parameters: [taskParameter],
  options: [],
  async run({ services, task }) {
    const taskId = await task();
    return { taskId, decisions: await services.journal.decisions(taskId) };
  },
  render({ decisions }, style) {
    if (decisions.length === 0) return style.dim('No decisions.');
    return decisions
      .map(({ id, agent, createdAt, what, why, alternatives, executionIds, checkpointIds }) =>
        lines(
          `${style.strong(oneLine(what, 500))} ${style.dim(`${shortId(id)} ${oneLine(agent)} ${formatTime(createdAt)}`)}`,
          why !== '' && indented(safeText(why)),
          ...alternatives.map((alternative) => `  instead of: ${oneLine(alternative, 500)}`),
          executionIds.length > 0 && `  executions: ${executionIds.map(shortId).join(', ')}`,
          checkpointIds.length > 0 && `  checkpoints: ${checkpointIds.map(shortId).join(', ')}`,
        ),
      )
      .join('\n\n');
  },
};

function indented(words: string): string {
  return words.replace(/^/gm, '  ');
}
