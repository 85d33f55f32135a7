import { cachesList, cachesRemove, cachesTrim } from './commands/caches.ts';
import type { Command } from './command.ts';
import { logs, signal, stdin, wait } from './commands/background.ts';
import { attemptsCheck, attemptsKeep, attemptsStart } from './commands/attempts.ts';
import { cancel, completeTask, stop } from './commands/end-task.ts';
import { apply, diff } from './commands/apply.ts';
import { commit } from './commands/commit.ts';
import { merge } from './commands/merge.ts';
import { cp, filesMkdir, filesMv, filesRm } from './commands/change-files.ts';
import { checkpointsDiff, checkpointsList, checkpointsShow, checkpointsVerify } from './commands/checkpoint-looks.ts';
import {
  checkpointsDelete,
  checkpointsPin,
  checkpointsTag,
  checkpointsUnpin,
  checkpointsUntag,
} from './commands/checkpoint-marks.ts';
import { checkpointsExport, checkpointsImport } from './commands/checkpoint-files.ts';
import { checkpointsPrune, checkpointsUsage } from './commands/checkpoint-space.ts';
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
import { filesCat, filesEdit, filesFind, filesLs, filesSearch, filesStat, filesWrite } from './commands/files.ts';
import { fork } from './commands/fork.ts';
import { imagesBuild, imagesList, imagesPin } from './commands/images.ts';
import { imagesMake, imagesPrune, imagesRollback, imagesVersions } from './commands/own-images.ts';
import { findTask, listTasks } from './commands/list-tasks.ts';
import { ledgerErase, ledgerExport, ledgerImport } from './commands/ledger.ts';
import { messageAdd, messageList } from './commands/message.ts';
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
import { recover } from './commands/recover.ts';
import { revoke } from './commands/revoke.ts';
import { shell } from './commands/shell.ts';
import { closeShell, shells } from './commands/shells.ts';
import { taskExecutions } from './commands/task-executions.ts';
import { taskHistory } from './commands/task-history.ts';
import { taskMemoryExport, taskMemoryImport } from './commands/task-memory.ts';
import { taskSearch } from './commands/task-search.ts';
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
  shell,
  cp,
  diff,
  apply,
  merge,
  commit,
  filesLs,
  filesStat,
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
  shells,
  closeShell,
  detach,
  stop,
  completeTask,
  cancel,
  cleanupTask,
  recover,
  revoke,
  checkpoint,
  restoreCheckpoint,
  checkpointsList,
  checkpointsShow,
  checkpointsDiff,
  checkpointsVerify,
  checkpointsTag,
  checkpointsUntag,
  checkpointsPin,
  checkpointsUnpin,
  checkpointsDelete,
  checkpointsUsage,
  checkpointsPrune,
  checkpointsExport,
  checkpointsImport,
  fork,
  attemptsStart,
  attemptsCheck,
  attemptsKeep,
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
  messageAdd,
  messageList,
  taskSearch,
  taskHistory,
  taskExecutions,
  taskDecisions,
  taskMemoryExport,
  taskMemoryImport,
  taskStats,
  policyShow,
  policySet,
  policyCheck,
  policyLog,
  cachesList,
  cachesTrim,
  cachesRemove,
  verify,
  doctor,
  imagesList,
  imagesBuild,
  imagesPin,
  imagesMake,
  imagesVersions,
  imagesRollback,
  imagesPrune,
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
  checkpoints: 'checkpoints of a task',
  attempts: 'forks of a task that try several ways',
  claim: 'what sessions say they will read and write',
  sandbox: 'the sandbox of a task by itself',
  todo: 'todos of a task',
  note: 'notes of a task',
  message: 'what was said in a task',
  'task-memory': 'the memory of tasks in repository folders',
  policy: 'what may leave the sandbox of a task',
  caches: 'what tasks share of their downloads',
  images: 'sandbox images on the engine',
  db: 'the registry of a home',
  ledger: 'the ledger of a task',
};
