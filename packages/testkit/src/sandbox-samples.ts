import {
  type Command,
  type ExecOutcome,
  type ExecRequest,
  type HomeId,
  type SandboxHandle,
  type SandboxPlan,
  createIds,
  systemClock,
} from '@opencode-tools/core';

const ids = createIds(systemClock);

/** A plan that every engine can carry out: no network, no mounts, 256 MiB, token 5 and above. */
export function samplePlan(homeId: HomeId, imageId: string, change: Partial<SandboxPlan> = {}): SandboxPlan {
  const taskId = ids.next('task');
  return {
    name: `oct-test-${taskId.slice(-12)}-1`,
    homeId,
    taskId,
    operationId: ids.next('operation'),
    generation: 1,
    imageId,
    user: { uid: 1000, gid: 1000 },
    limits: { memoryBytes: 256 * 1024 ** 2, cpus: 2, pids: 128, tmpBytes: 64 * 1024 ** 2 },
    networkMode: 'fixed-none',
    mounts: [],
    workingDirectory: '/workspace',
    readOnlyRoot: false,
    runtime: null,
    fence: { minToken: 5, revoked: [] },
    ...change,
  };
}

/** What a command did, with its output as bytes and as text. */
export interface RanCommand extends ExecOutcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly stdoutBytes: Buffer;
}

/** Runs a script or a command line under token 5 in `/workspace`, and collects its output. */
export async function runIn(
  sandbox: SandboxHandle,
  command: string | readonly string[],
  change: Partial<ExecRequest> = {},
): Promise<RanCommand> {
  const stdout: Uint8Array[] = [];
  const stderr: Uint8Array[] = [];
  const outcome = await sandbox.exec({
    executionId: ids.next('execution'),
    token: 5,
    command: asCommand(command),
    cwd: '/workspace',
    env: {},
    onStdout: (chunk) => stdout.push(Uint8Array.from(chunk)),
    onStderr: (chunk) => stderr.push(Uint8Array.from(chunk)),
    ...change,
  });
  const stdoutBytes = Buffer.concat(stdout);
  return {
    ...outcome,
    stdoutBytes,
    stdout: stdoutBytes.toString('utf8'),
    stderr: Buffer.concat(stderr).toString('utf8'),
  };
}

function asCommand(command: string | readonly string[]): Command {
  return typeof command === 'string' ? { kind: 'script', script: command } : { kind: 'argv', argv: command };
}

/** Lists the command lines of the processes that run as the sandbox's user; the listing itself left out. */
export async function agentProcesses(sandbox: SandboxHandle, token = 5): Promise<readonly string[]> {
  const script =
    'for p in /proc/[0-9]*; do u=; while read -r k v r; do [ "$k" = Uid: ] && u=$v; done <$p/status; [ "$u" = 1000 ] && [ ${p#/proc/} != $$ ] && tr "\\000" " " <$p/cmdline && echo; done 2>/dev/null; true';
  const { stdout } = await runIn(sandbox, script, { token });
  return stdout.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('tr '));
}
