import { template } from '../query/template.ts';

export const selectTask = template<{ id: string }>()(({ db }, slot) =>
  db.selectFrom('tasks').select('entity').where('id', '=', slot('id')),
);

export const selectReceipt = template<{ id: string }>()(({ db }, slot) =>
  db.selectFrom('receipts').select('entity').where('task_id', '=', slot('id')),
);

export const selectSandbox = template<{ taskId: string }>()(({ db }, slot) =>
  db.selectFrom('sandboxes').select('entity').where('task_id', '=', slot('taskId')),
);

export const selectSandboxes = template<null>()(({ db }) =>
  db
    .selectFrom('sandboxes')
    .innerJoin('tasks', 'tasks.id', 'sandboxes.task_id')
    .select('sandboxes.entity')
    .orderBy('sandboxes.task_id'),
);

export const selectSession = template<{ id: string }>()(({ db }, slot) =>
  db.selectFrom('sessions').select('entity').where('id', '=', slot('id')),
);

export const selectSessions = template<{ taskId: string }>()(({ db }, slot) =>
  db.selectFrom('sessions').select('entity').where('task_id', '=', slot('taskId')).orderBy('attached_at').orderBy('id'),
);

export const selectExecution = template<{ id: string }>()(({ db }, slot) =>
  db.selectFrom('executions').select('entity').where('id', '=', slot('id')),
);

export const countTaskExecutions = template<{ taskId: string }>()(({ db }, slot) =>
  db
    .selectFrom('executions')
    .select(({ fn }) => fn.countAll<number>().as('total'))
    .where('task_id', '=', slot('taskId')),
);

export const selectDecisions = template<{ taskId: string }>()(({ db }, slot) =>
  db.selectFrom('decisions').select('entity').where('task_id', '=', slot('taskId')).orderBy('created_at').orderBy('id'),
);

export const selectTodos = template<{ taskId: string }>()(({ db }, slot) =>
  db.selectFrom('todos').select('entity').where('task_id', '=', slot('taskId')).orderBy('created_at').orderBy('id'),
);

export const selectNotes = template<{ taskId: string }>()(({ db }, slot) =>
  db.selectFrom('notes').select('entity').where('task_id', '=', slot('taskId')).orderBy('created_at').orderBy('id'),
);

export const selectOperation = template<{ id: string }>()(({ db }, slot) =>
  db.selectFrom('operations').select('entity').where('id', '=', slot('id')),
);

export const selectCheckpoint = template<{ id: string }>()(({ db }, slot) =>
  db.selectFrom('checkpoints').select('entity').where('id', '=', slot('id')),
);

export const selectAllCheckpoints = template<object>()(({ db }) => db.selectFrom('checkpoints').select('entity'));
export const selectCheckpoints = template<{ taskId: string }>()(({ db }, slot) =>
  db
    .selectFrom('checkpoints')
    .select('entity')
    .where('task_id', '=', slot('taskId'))
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc'),
);
