import childProcess from 'node:child_process';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { type OperationId, silentLogger } from '@opencode-tools/core';

/*
 * A process of its own that merges a bundle which was received, or commits what changed, and kills itself with SIGKILL at a step: before it calls git, or before
 * and after it renames a file. Prints how many steps there were when it came to its end.
 *
 * node merge-child.ts <store> <repository> <base or `commit`> <operation> <step>
 */
const [store = '', repository = '', base = '', operation = '', step = ''] = process.argv.slice(2);
let steps = 0;

function pass(): void {
  steps += 1;
  if (steps === Number(step)) process.kill(process.pid, 'SIGKILL');
}

const { execFile } = childProcess;
childProcess.execFile = ((...args: Parameters<typeof execFile>) => {
  pass();
  return execFile(...args);
}) as typeof execFile;
const { rename } = fs.promises;
fs.promises.rename = async (...args) => {
  pass();
  await rename(...args);
  pass();
};
syncBuiltinESMExports();
const { createGit, createWork } = await import('../src/index.ts');
const git = createGit({
  environment: { PATH: process.env['PATH'] },
  logger: silentLogger,
  bound: () => Promise.resolve([]),
});
const work = createWork({ environment: process.env, directory: store, git, logger: silentLogger });
const operationId = operation as OperationId;
if (base === 'commit') {
  const who = { message: 'Commit it', author: 'Ada <ada@example.org>' };
  await work.commit({ directory: repository, ...who, accept: [], operationId, dryRun: false });
} else {
  const request = { repository, base, branch: 'main', into: true, accept: [], message: 'Merge it', dryRun: false };
  await work.merge({ ...request, operationId });
}
process.stdout.write(String(steps));
