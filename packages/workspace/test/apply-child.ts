import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { type OperationId, silentLogger } from '@opencode-tools/core';

/*
 * A process of its own that brings work in, or settles what another began, and kills itself with SIGKILL at a step: the moment before
 * or after any call that changes a file or a directory. Prints how many steps there were when it came to its end.
 *
 * node apply-child.ts <store> <directory> <from> <to> <operation> <apply or settle> <step>
 */
const [store = '', directory = '', fromId = '', toId = '', operation = '', verb = '', step = ''] =
  process.argv.slice(2);
let steps = 0;

function pass(): void {
  steps += 1;
  if (steps === Number(step)) process.kill(process.pid, 'SIGKILL');
}

type Method = (...args: unknown[]) => unknown;

function stepInto(target: Record<string, Method>, names: readonly string[]): void {
  for (const name of names) {
    const method = target[name] as Method;
    target[name] = (...args) => {
      pass();
      const result = method(...args);
      if (!(result instanceof Promise)) {
        pass();
        return result;
      }
      return result.finally(pass);
    };
  }
}

const sync = ['chmodSync', 'linkSync', 'mkdirSync', 'renameSync', 'rmSync', 'rmdirSync', 'symlinkSync', 'unlinkSync'];
stepInto(fs as never, [...sync, 'writeSync']);
stepInto(fs.promises as never, ['rename', 'rm']);
syncBuiltinESMExports();
const { createGit, createWork } = await import('../src/index.ts');
const git = createGit({ environment: { PATH: process.env['PATH'] }, logger: silentLogger });
const work = createWork({ directory: store, git, logger: silentLogger });
const operationId = operation as OperationId;
if (verb === 'settle') await work.settle(operationId);
else await work.apply({ directory, fromId, toId, accept: [], threeWay: true, operationId });
process.stdout.write(String(steps));
