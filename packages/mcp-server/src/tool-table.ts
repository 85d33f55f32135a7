import type { Tool } from './tool.ts';
import { attachAgentToTask } from './tools/attach-agent-to-task.ts';
import { claimPaths } from './tools/claim-paths.ts';
import { controlTaskSandbox } from './tools/control-task-sandbox.ts';
import { controlExecution } from './tools/control-execution.ts';
import { createTaskSandbox } from './tools/create-task-sandbox.ts';
import { deleteTask } from './tools/delete-task.ts';
import { detachAgentFromTask } from './tools/detach-agent-from-task.ts';
import { executeInTask } from './tools/execute-in-task.ts';
import { getTaskStatus } from './tools/get-task-status.ts';
import { listFiles, searchFiles } from './tools/list-files.ts';
import { listTasks } from './tools/list-tasks.ts';
import { readFile } from './tools/read-file.ts';
import { readExecutionOutput } from './tools/read-execution-output.ts';
import { recordDecision } from './tools/record-decision.ts';
import { releaseClaims } from './tools/release-claims.ts';
import { requestTaskLimits } from './tools/request-task-limits.ts';
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
  stopTask,
  deleteTask,
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
  'Each task has a durable Docker sandbox and a record that outlive you. Create a task or attach to one, pass session_id to ' +
  'every call, record decisions, detach when done. Paths are relative to the workspace, or absolute. task_id also takes the ' +
  'last 8 characters of an id or a unique title. ' +
  'A call repeated with the same idempotency_key is done once.';
