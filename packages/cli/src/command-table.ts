import type { Command } from './command.ts';
import { logs, signal, stdin, wait } from './commands/background.ts';
import { cancel, completeTask, stop } from './commands/end-task.ts';
import { apply, diff } from './commands/apply.ts';
import { cp, filesMkdir, filesMv, filesRm } from './commands/change-files.ts';
import { checkpoint, restoreCheckpoint } from './commands/checkpoints.ts';
import { claimAdd, claimList, claimRelease } from './commands/claim.ts';
import { cleanupTask } from './commands/cleanup-task.ts';
import { createTask } from './commands/create-task.ts';
import { dbStatus, dbVerify } from './commands/db.ts';
import { dbBackup, dbBackups, dbRestore } from './commands/db-backup.ts';
import { dbMove } from './commands/db-move.ts';
import { dbPrune } from './commands/db-prune.ts';
import { dbRebuild } from './commands/db-rebuild.ts';
import { dbMigrate, dbRollback } from './commands/db-schema.ts';
import { decide, taskDecisions } from './commands/decisions.ts';
import { doctor } from './commands/doctor.ts';
import { exec } from './commands/exec.ts';
import { filesCat, filesEdit, filesFind, filesLs, filesSearch, filesWrite } from './commands/files.ts';
import { fork } from './commands/fork.ts';
import { imagesBuild, imagesList, imagesPin } from './commands/images.ts';
import { findTask, listTasks } from './commands/list-tasks.ts';
import { ledgerErase, ledgerExport, ledgerImport } from './commands/ledger.ts';
import { noteAdd, noteEdit, noteList } from './commands/note.ts';
import {
  sandboxDeny,
  sandboxDestroy,
  sandboxGrant,
  sandboxPause,
  sandboxRequest,
  sandboxRestart,
  sandboxSet,
  sandboxStart,
  sandboxStop,
  sandboxUnpause,
} from './commands/sandbox.ts';
import { detach, resumeTask } from './commands/sessions.ts';
import { policyCheck, policyLog, policySet, policyShow } from './commands/policy.ts';
import { revoke } from './commands/revoke.ts';
import { taskExecutions } from './commands/task-executions.ts';
import { taskHistory } from './commands/task-history.ts';
import { taskStats } from './commands/task-stats.ts';
import { todoAdd, todoDone, todoDrop, todoEdit, todoList, todoStart } from './commands/todo.ts';
import { updateTask } from './commands/update-task.ts';
import { verify } from './commands/verify.ts';

/** Every verb, in the order of the help page. */
export const commandTable: readonly Command[] = [
  createTask,
  resumeTask,
  listTasks,
  findTask,
  updateTask,
  exec,
  cp,
  diff,
  apply,
  filesLs,
  filesCat,
  filesWrite,
  filesEdit,
  filesFind,
  filesSearch,
  filesRm,
  filesMv,
  filesMkdir,
  logs,
  wait,
  signal,
  stdin,
  detach,
  stop,
  completeTask,
  cancel,
  cleanupTask,
  revoke,
  checkpoint,
  restoreCheckpoint,
  fork,
  sandboxStart,
  sandboxStop,
  sandboxRestart,
  sandboxPause,
  sandboxUnpause,
  sandboxDestroy,
  sandboxSet,
  sandboxRequest,
  sandboxGrant,
  sandboxDeny,
  decide,
  claimAdd,
  claimList,
  claimRelease,
  todoAdd,
  todoList,
  todoStart,
  todoDone,
  todoDrop,
  todoEdit,
  noteAdd,
  noteList,
  noteEdit,
  taskHistory,
  taskExecutions,
  taskDecisions,
  taskStats,
  policyShow,
  policySet,
  policyCheck,
  policyLog,
  verify,
  doctor,
  imagesList,
  imagesBuild,
  imagesPin,
  dbStatus,
  dbVerify,
  dbMigrate,
  dbRollback,
  dbBackup,
  dbBackups,
  dbRestore,
  dbMove,
  dbRebuild,
  dbPrune,
  ledgerExport,
  ledgerImport,
  ledgerErase,
];

/** Verbs of two words share their first. */
export const commandGroups: Readonly<Record<string, string>> = {
  files: 'files in the sandbox of a task',
  claim: 'what sessions say they will read and write',
  sandbox: 'the sandbox of a task by itself',
  todo: 'todos of a task',
  note: 'notes of a task',
  images: 'sandbox images on the engine',
  db: 'the registry of a home',
  ledger: 'the ledger of a task',
};
