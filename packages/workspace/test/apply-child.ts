import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { type OperationId, silentLogger } from '@opencode-tools/core';
import { KillSteps } from '@opencode-tools/testkit/kill-steps';

/*
 * A process of its own that brings work in, or settles what another began, and kills itself with SIGKILL at a step: the moment before
 * or after any call that changes a file or a directory. Prints how many steps there were when it came to its end.
 *
 * node apply-child.ts <store> <directory> <from> <to> <operation> <apply or settle> <step>
 */
const [store = '', directory = '', fromId = '', toId = '', operation = '', verb = '', step = ''] =
  process.argv.slice(2);
const steps = new KillSteps(Number(step));
const sync = ['chmodSync', 'linkSync', 'mkdirSync', 'renameSync', 'rmSync', 'rmdirSync', 'symlinkSync', 'unlinkSync'];
steps.into(fs, [...sync, 'writeSync']);
steps.into(fs.promises, ['rename', 'rm']);
syncBuiltinESMExports();
const { createGit, createWork } = await import('../src/index.ts');
const git = createGit({
  environment: { PATH: process.env['PATH'] },
  logger: silentLogger,
  bound: () => Promise.resolve([]),
});
const work = createWork({ environment: process.env, directory: store, git, logger: silentLogger });
const operationId = operation as OperationId;
if (verb === 'settle') await work.settle(operationId);
else await work.apply({ directory, fromId, toId, accept: [], threeWay: true, operationId });
process.stdout.write(String(steps.count));
