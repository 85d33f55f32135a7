import { containerOptions } from '../../packages/docker-runtime/src/plan/container-options.ts';

/** The plan of a sandbox as a task without anything special has it: hardened, no network. */
export function benchPlan({ ids, homeId, defaults }, imageId, mounts = []) {
  const operationId = ids.next('operation');
  return {
    name: `bench-${operationId.slice(-12)}`,
    homeId,
    taskId: ids.next('task'),
    operationId,
    generation: 1,
    imageId,
    user: defaults.user,
    limits: defaults.limits,
    networkMode: 'fixed-none',
    mounts,
    workingDirectory: '/workspace',
    readOnlyRoot: false,
    runtime: null,
    fence: { minToken: 0, revoked: [] },
  };
}

const architectures = { x64: 'amd64', arm64: 'arm64' };

/** What the runtime would ask the engine for. */
export function optionsOf(plan) {
  return containerOptions(plan, architectures[process.arch]);
}

/** Two new volumes, as a task has them. */
export function newVolumes({ ids, homeId }) {
  const name = `bench-${ids.next('operation').slice(-12)}`;
  const create = { 'io.opencode-tools.home': homeId };
  return [
    { kind: 'volume', volume: `${name}-workspace`, target: '/workspace', readOnly: false, create },
    { kind: 'volume', volume: `${name}-home`, target: '/home/agent', readOnly: false, create },
  ];
}

/** Makes a sandbox and runs `echo`. @returns the sandbox, and milliseconds to the first byte */
export async function firstOutput({ runtime, ids }, plan) {
  const from = performance.now();
  const sandbox = await runtime.create(plan);
  let firstAt;
  await sandbox.exec({
    executionId: ids.next('execution'),
    token: 1,
    command: { kind: 'argv', argv: ['echo', 'up'] },
    cwd: '/workspace',
    env: {},
    onStdout: () => void (firstAt ??= performance.now()),
    onStderr: () => undefined,
  });
  return { sandbox, ms: firstAt - from };
}
