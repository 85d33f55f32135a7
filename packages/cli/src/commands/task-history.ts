import type { Actor, JsonValue, StoredRecord, TaskId } from '@opencode-tools/core';
import { given } from '../arguments/input.ts';
import { integer, text } from '../arguments/values.ts';
import { type Command, taskParameter } from '../command.ts';
import { formatTime, oneLine } from '../render/format.ts';
import { table } from '../render/table.ts';

interface History {
  readonly taskId: TaskId;
  readonly records: readonly StoredRecord[];
}

export const taskHistory: Command<History> = {
  name: 'task-history',
  summary: 'show the records of a task in the ledger, also of a deleted one, newest first',
  notes: ['--json has the payload of each record as a value; the hash covers its exact text, which `verify` checks.'],
  parameters: [taskParameter],
  options: [
    { name: 'limit', value: integer('count', 1, 10_000), summary: 'how many at most (default: 100)' },
    { name: 'oldest-first', summary: 'start with the first record' },
    {
      name: 'after',
      value: integer('seq', 0, Number.MAX_SAFE_INTEGER),
      summary: 'only records after this number, oldest first',
    },
    { name: 'type', value: text('type'), repeatable: true, summary: 'only these types, or all of a noun: `task.`' },
  ],
  async run({ input, services, task }) {
    const taskId = await task();
    const afterSeq = input.get<number>('after');
    const types = input.list('type');
    const records = await services.ledger.history(taskId, {
      newestFirst: afterSeq === undefined && !input.flag('oldest-first'),
      ...given({ afterSeq, limit: input.get<number>('limit'), types: types.length === 0 ? undefined : types }),
    });
    return { taskId, records };
  },
  render({ records }, style) {
    if (records.length === 0) return style.dim('No records.');
    return table(
      records,
      [
        { title: 'SEQ', align: 'right', text: ({ seq }) => String(seq) },
        { title: 'AT', text: ({ at }) => formatTime(at) },
        { title: 'TYPE', text: ({ type }) => oneLine(type, 40) },
        { title: 'TOKEN', align: 'right', text: ({ token }) => (token === null ? '-' : String(token)) },
        { title: 'BY', text: ({ actor }) => nameOf(actor) },
        { title: 'HASH', text: ({ hash }) => hash.slice(0, 12), paint: () => style.dim },
      ],
      style,
    );
  },
  json: ({ taskId, records }) => ({
    taskId,
    records: records.map((record) => ({ ...record, payload: parsed(record.payload) })),
  }),
};

function nameOf({ agent, id, model }: Actor): string {
  return oneLine(`${agent ?? id}${model === null ? '' : ` (${model})`}`, 40);
}

function parsed(payload: string | null): JsonValue {
  if (payload === null) return null;
  try {
    return JSON.parse(payload) as JsonValue;
  } catch {
    return payload;
  }
}
