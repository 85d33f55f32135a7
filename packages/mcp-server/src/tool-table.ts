import type { Tool } from './tool.ts';
import { applyTaskWork } from './tools/apply-task-work.ts';
import { attachAgentToTask } from './tools/attach-agent-to-task.ts';
import { claimPaths } from './tools/claim-paths.ts';
import { completeTask } from './tools/complete-task.ts';
import { controlTaskSandbox } from './tools/control-task-sandbox.ts';
import { controlExecution } from './tools/control-execution.ts';
import { createTaskCheckpoint, restoreTaskCheckpoint } from './tools/create-task-checkpoint.ts';
import { createTaskSandbox } from './tools/create-task-sandbox.ts';
import { deleteTask } from './tools/delete-task.ts';
import { detachAgentFromTask } from './tools/detach-agent-from-task.ts';
import { diffTask } from './tools/diff-task.ts';
import { executeInTask } from './tools/execute-in-task.ts';
import { getTaskStatus } from './tools/get-task-status.ts';
import { listFiles, searchFiles } from './tools/list-files.ts';
import { listTaskCheckpoints } from './tools/list-task-checkpoints.ts';
import { listTasks } from './tools/list-tasks.ts';
import { commitTaskWork } from './tools/commit-task-work.ts';
import { mergeTaskWork } from './tools/merge-task-work.ts';
import { readFile } from './tools/read-file.ts';
import { readExecutionOutput } from './tools/read-execution-output.ts';
import { recordDecision } from './tools/record-decision.ts';
import { releaseClaims } from './tools/release-claims.ts';
import { requestTaskLimits } from './tools/request-task-limits.ts';
import { searchTaskMemory } from './tools/search-task-memory.ts';
import { setNote } from './tools/set-note.ts';
import { setTodo } from './tools/set-todo.ts';
import { stopTask } from './tools/stop-task.ts';
import { updateTask } from './tools/update-task.ts';
import { editFile, writeFile } from './tools/write-file.ts';

/** Every tool, in the order in which clients see them. */
export const toolTable: readonly Tool[] = [
  createTaskSandbox,
  attachAgentToTask,
  detachAgentFromTask,
  executeInTask,
  readFile,
  writeFile,
  editFile,
  listFiles,
  searchFiles,
  readExecutionOutput,
  controlExecution,
  listTasks,
  getTaskStatus,
  searchTaskMemory,
  stopTask,
  deleteTask,
  createTaskCheckpoint,
  restoreTaskCheckpoint,
  listTaskCheckpoints,
  diffTask,
  applyTaskWork,
  mergeTaskWork,
  commitTaskWork,
  completeTask,
  recordDecision,
  updateTask,
  setTodo,
  setNote,
  claimPaths,
  releaseClaims,
  controlTaskSandbox,
  requestTaskLimits,
];

/** What a model is told once about all tools together. */
export const serverInstructions =
  'Each task has a durable Docker sandbox, without network unless egress names policies, and a record that outlive you. ' +
  'Create a task or attach to one, pass session_id to every call, record decisions, detach when done. File tools work in the ' +
  'sandbox; files and globs are relative to the workspace, or absolute; finding and searching leave out .git and ' +
  'node_modules. expected_digest refuses to write a file that is not as read_file gave it; expected_version refuses, or ' +
  'merges, a change of what changed since. task_id also takes the last 8 characters of an id or a unique title, checkpoints ' +
  'also a tag or name. apply_task_work, merge_task_work and commit_task_work write on the host of the user, who decides how ' +
  'far, and accepts tripwires: changes that would run there or steer who works there; with dry_run they only tell. Calls that ' +
  'change something take idempotency_key, listed or not: repeated with the same key they are done once.';
