// Makes a sandbox, runs a command in it and waits to be killed. Argument: the plan as JSON.
import { createIds, silentLogger, systemClock, type SandboxPlan } from '@opencode-tools/core';
import { createDockerRuntime } from '../src/index.ts';

const plan = JSON.parse(process.argv[2] ?? '') as SandboxPlan;
const { runtime } = createDockerRuntime({
  environment: process.env,
  homeId: plan.homeId,
  ids: createIds(systemClock),
  clock: systemClock,
  logger: silentLogger,
});
const sandbox = await runtime.create(plan);
await sandbox.exec({
  executionId: createIds(systemClock).next('execution'),
  token: 5,
  command: { kind: 'script', script: 'setsid sleep 991 & echo up; sleep 992; touch /tmp/half' },
  cwd: '/',
  env: {},
  onStdout: (chunk) => process.stdout.write(chunk),
  onStderr: () => undefined,
});
